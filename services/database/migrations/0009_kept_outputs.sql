CREATE TABLE "kos"."cache_entries" (
	"workspace_id" text NOT NULL,
	"key" text NOT NULL,
	"plan_name" text NOT NULL,
	"run_id" text NOT NULL,
	"step_path" text NOT NULL,
	"created_at" timestamp (3) with time zone DEFAULT clock_timestamp() NOT NULL,
	"expires_at" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "cache_entries_workspace_id_key_pk" PRIMARY KEY("workspace_id","key")
);
--> statement-breakpoint
ALTER TABLE "kos"."runs" ADD COLUMN "use_cache" boolean DEFAULT true NOT NULL;--> statement-breakpoint
CREATE INDEX "cache_entries_by_run" ON "kos"."cache_entries" USING btree ("run_id");--> statement-breakpoint
CREATE INDEX "cache_entries_by_plan" ON "kos"."cache_entries" USING btree ("workspace_id","plan_name");--> statement-breakpoint
CREATE INDEX "cache_entries_by_expiry" ON "kos"."cache_entries" USING btree ("expires_at");--> statement-breakpoint
ALTER TABLE "kos"."cache_entries" ENABLE ROW LEVEL SECURITY;--> statement-breakpoint
ALTER TABLE "kos"."cache_entries" FORCE ROW LEVEL SECURITY;--> statement-breakpoint
CREATE POLICY workspace ON "kos"."cache_entries" USING (workspace_id = current_setting('kos.workspace_id', true)) WITH CHECK (workspace_id = current_setting('kos.workspace_id', true));--> statement-breakpoint
GRANT SELECT, INSERT, UPDATE, DELETE ON "kos"."cache_entries" TO kos_app, kos_system;
