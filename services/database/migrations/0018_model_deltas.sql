-- Unlogged: passed on and forgotten. It is written without a flush, and is empty after a crash of the server.
CREATE UNLOGGED TABLE "kos"."model_deltas" (
	"workspace_id" text NOT NULL,
	"run_id" text NOT NULL,
	"step_path" text NOT NULL,
	"attempt" integer NOT NULL,
	"call" bigint NOT NULL,
	"place" integer NOT NULL,
	"until" integer NOT NULL,
	"text" text NOT NULL,
	"ended" boolean NOT NULL,
	"at" timestamp (3) with time zone DEFAULT clock_timestamp() NOT NULL,
	CONSTRAINT "model_deltas_workspace_id_run_id_step_path_call_place_pk" PRIMARY KEY("workspace_id","run_id","step_path","call","place")
);
--> statement-breakpoint
ALTER TABLE "kos"."model_deltas" ENABLE ROW LEVEL SECURITY;--> statement-breakpoint
ALTER TABLE "kos"."model_deltas" FORCE ROW LEVEL SECURITY;--> statement-breakpoint
CREATE POLICY workspace ON "kos"."model_deltas" USING (workspace_id = current_setting('kos.workspace_id', true)) WITH CHECK (workspace_id = current_setting('kos.workspace_id', true));--> statement-breakpoint
GRANT SELECT, INSERT, UPDATE, DELETE ON "kos"."model_deltas" TO kos_app, kos_system;
