CREATE TABLE "kos"."signals" (
	"id" text PRIMARY KEY NOT NULL,
	"workspace_id" text NOT NULL,
	"run_id" text NOT NULL,
	"name" text NOT NULL,
	"position" integer NOT NULL,
	"payload" json NOT NULL,
	"sent_by" text NOT NULL,
	"received_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	"taken_by" text,
	"taken_at" timestamp (3) with time zone,
	"wait_id" text
);
--> statement-breakpoint
ALTER TABLE "kos"."runs" ADD COLUMN "root_run_id" text;--> statement-breakpoint
ALTER TABLE "kos"."runs" ADD COLUMN "called_from" text;--> statement-breakpoint
ALTER TABLE "kos"."runs" ADD COLUMN "depth" integer DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE "kos"."runs" ADD COLUMN "plan_pins" jsonb;--> statement-breakpoint
ALTER TABLE "kos"."waits" ADD COLUMN "signal_name" text;--> statement-breakpoint
ALTER TABLE "kos"."waits" ADD COLUMN "child_run_id" text;--> statement-breakpoint
ALTER TABLE "kos"."waits" ADD COLUMN "told_to" text;--> statement-breakpoint
CREATE UNIQUE INDEX "signals_by_run" ON "kos"."signals" USING btree ("run_id","position");--> statement-breakpoint
CREATE INDEX "signals_untaken" ON "kos"."signals" USING btree ("run_id","name") WHERE taken_by is null;--> statement-breakpoint
CREATE INDEX "runs_by_parent" ON "kos"."runs" USING btree ("parent_run_id") WHERE parent_run_id is not null;--> statement-breakpoint
CREATE INDEX "waits_for_signals" ON "kos"."waits" USING btree ("run_id","signal_name") WHERE status = 'open' and signal_name is not null;--> statement-breakpoint
ALTER TABLE "kos"."signals" ENABLE ROW LEVEL SECURITY;--> statement-breakpoint
ALTER TABLE "kos"."signals" FORCE ROW LEVEL SECURITY;--> statement-breakpoint
CREATE POLICY workspace ON "kos"."signals" USING (workspace_id = current_setting('kos.workspace_id', true)) WITH CHECK (workspace_id = current_setting('kos.workspace_id', true));--> statement-breakpoint
GRANT SELECT, INSERT, UPDATE, DELETE ON "kos"."signals" TO kos_app, kos_system;
