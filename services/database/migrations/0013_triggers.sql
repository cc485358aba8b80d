CREATE TABLE "kos"."trigger_deliveries" (
	"id" text PRIMARY KEY NOT NULL,
	"workspace_id" text NOT NULL,
	"trigger_id" text NOT NULL,
	"status" text NOT NULL,
	"reason" text,
	"key" text,
	"duplicate_of" text,
	"run_id" text,
	"redelivered_by" text,
	"content" "bytea" NOT NULL,
	"bytes" integer NOT NULL,
	"received_at" timestamp (3) with time zone DEFAULT now() NOT NULL
);
--> statement-breakpoint
CREATE TABLE "kos"."triggers" (
	"id" text PRIMARY KEY NOT NULL,
	"workspace_id" text NOT NULL,
	"name" text NOT NULL,
	"plan_name" text NOT NULL,
	"definition" jsonb NOT NULL,
	"enabled" boolean DEFAULT true NOT NULL,
	"note" text,
	"secret" "bytea",
	"previous_secret" "bytea",
	"previous_until" timestamp (3) with time zone,
	"created_by" text NOT NULL,
	"granted" jsonb NOT NULL,
	"version" integer DEFAULT 1 NOT NULL,
	"refused" integer DEFAULT 0 NOT NULL,
	"refused_at" timestamp (3) with time zone,
	"refused_reason" text,
	"created_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	"updated_at" timestamp (3) with time zone DEFAULT now() NOT NULL
);
--> statement-breakpoint
CREATE UNIQUE INDEX "trigger_deliveries_key" ON "kos"."trigger_deliveries" USING btree ("trigger_id","key") WHERE key is not null and status in ('accepted', 'ignored');--> statement-breakpoint
CREATE INDEX "trigger_deliveries_newest" ON "kos"."trigger_deliveries" USING btree ("trigger_id","received_at" DESC NULLS LAST,"id" DESC NULLS LAST);--> statement-breakpoint
CREATE INDEX "trigger_deliveries_old" ON "kos"."trigger_deliveries" USING btree ("received_at");--> statement-breakpoint
CREATE UNIQUE INDEX "triggers_name" ON "kos"."triggers" USING btree ("workspace_id","name");--> statement-breakpoint
CREATE INDEX "triggers_by_plan" ON "kos"."triggers" USING btree ("workspace_id","plan_name");
--> statement-breakpoint
ALTER TABLE "kos"."triggers" ENABLE ROW LEVEL SECURITY;--> statement-breakpoint
ALTER TABLE "kos"."triggers" FORCE ROW LEVEL SECURITY;--> statement-breakpoint
CREATE POLICY workspace ON "kos"."triggers" USING (workspace_id = current_setting('kos.workspace_id', true)) WITH CHECK (workspace_id = current_setting('kos.workspace_id', true));--> statement-breakpoint
GRANT SELECT, INSERT, UPDATE, DELETE ON "kos"."triggers" TO kos_app, kos_system;--> statement-breakpoint
ALTER TABLE "kos"."trigger_deliveries" ENABLE ROW LEVEL SECURITY;--> statement-breakpoint
ALTER TABLE "kos"."trigger_deliveries" FORCE ROW LEVEL SECURITY;--> statement-breakpoint
CREATE POLICY workspace ON "kos"."trigger_deliveries" USING (workspace_id = current_setting('kos.workspace_id', true)) WITH CHECK (workspace_id = current_setting('kos.workspace_id', true));--> statement-breakpoint
GRANT SELECT, INSERT, UPDATE, DELETE ON "kos"."trigger_deliveries" TO kos_app, kos_system;
