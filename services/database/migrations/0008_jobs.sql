CREATE TABLE "kos"."job_items" (
	"workspace_id" text NOT NULL,
	"job_id" text NOT NULL,
	"position" integer NOT NULL,
	"run_id" text NOT NULL,
	"status" text DEFAULT 'pending' NOT NULL,
	"code" text,
	"message" text,
	"at" timestamp (3) with time zone,
	CONSTRAINT "job_items_job_id_position_pk" PRIMARY KEY("job_id","position")
);
--> statement-breakpoint
CREATE TABLE "kos"."jobs" (
	"id" text PRIMARY KEY NOT NULL,
	"workspace_id" text NOT NULL,
	"action" jsonb NOT NULL,
	"filter" jsonb NOT NULL,
	"status" text NOT NULL,
	"total" integer NOT NULL,
	"created_by" text NOT NULL,
	"created_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	"started_at" timestamp (3) with time zone,
	"finished_at" timestamp (3) with time zone
);
--> statement-breakpoint
CREATE INDEX "job_items_pending" ON "kos"."job_items" USING btree ("job_id","position") WHERE status = 'pending';--> statement-breakpoint
CREATE INDEX "jobs_newest" ON "kos"."jobs" USING btree ("workspace_id","created_at" DESC NULLS LAST,"id" DESC NULLS LAST);--> statement-breakpoint
CREATE INDEX "jobs_running" ON "kos"."jobs" USING btree ("id") WHERE status = 'running';--> statement-breakpoint
ALTER TABLE "kos"."jobs" ENABLE ROW LEVEL SECURITY;--> statement-breakpoint
ALTER TABLE "kos"."jobs" FORCE ROW LEVEL SECURITY;--> statement-breakpoint
CREATE POLICY workspace ON "kos"."jobs" USING (workspace_id = current_setting('kos.workspace_id', true)) WITH CHECK (workspace_id = current_setting('kos.workspace_id', true));--> statement-breakpoint
GRANT SELECT, INSERT, UPDATE, DELETE ON "kos"."jobs" TO kos_app, kos_system;--> statement-breakpoint
ALTER TABLE "kos"."job_items" ENABLE ROW LEVEL SECURITY;--> statement-breakpoint
ALTER TABLE "kos"."job_items" FORCE ROW LEVEL SECURITY;--> statement-breakpoint
CREATE POLICY workspace ON "kos"."job_items" USING (workspace_id = current_setting('kos.workspace_id', true)) WITH CHECK (workspace_id = current_setting('kos.workspace_id', true));--> statement-breakpoint
GRANT SELECT, INSERT, UPDATE, DELETE ON "kos"."job_items" TO kos_app, kos_system;
