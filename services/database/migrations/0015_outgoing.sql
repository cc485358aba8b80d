CREATE TABLE "kos"."outgoing_deliveries" (
	"id" text PRIMARY KEY NOT NULL,
	"workspace_id" text NOT NULL,
	"target_id" text NOT NULL,
	"event_id" text NOT NULL,
	"type" text NOT NULL,
	"run_id" text,
	"body" text NOT NULL,
	"status" text DEFAULT 'pending' NOT NULL,
	"tries" jsonb DEFAULT '[]'::jsonb NOT NULL,
	"reason" text,
	"redelivered_by" text,
	"next_attempt_at" timestamp (3) with time zone,
	"wake_at" timestamp (3) with time zone DEFAULT clock_timestamp() NOT NULL,
	"created_at" timestamp (3) with time zone DEFAULT clock_timestamp() NOT NULL,
	"finished_at" timestamp (3) with time zone
);
--> statement-breakpoint
CREATE TABLE "kos"."webhooks" (
	"id" text PRIMARY KEY NOT NULL,
	"workspace_id" text NOT NULL,
	"name" text NOT NULL,
	"definition" jsonb NOT NULL,
	"enabled" boolean DEFAULT true NOT NULL,
	"note" text,
	"secret" "bytea" NOT NULL,
	"previous_secret" "bytea",
	"previous_until" timestamp (3) with time zone,
	"created_by" text NOT NULL,
	"granted" jsonb NOT NULL,
	"seen_seq" bigint NOT NULL,
	"version" integer DEFAULT 1 NOT NULL,
	"created_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	"updated_at" timestamp (3) with time zone DEFAULT now() NOT NULL
);
--> statement-breakpoint
CREATE UNIQUE INDEX "outgoing_deliveries_once" ON "kos"."outgoing_deliveries" USING btree ("target_id","event_id") WHERE redelivered_by is null;--> statement-breakpoint
CREATE INDEX "outgoing_deliveries_newest" ON "kos"."outgoing_deliveries" USING btree ("target_id","created_at" DESC NULLS LAST,"id" DESC NULLS LAST);--> statement-breakpoint
CREATE INDEX "outgoing_deliveries_pending" ON "kos"."outgoing_deliveries" USING btree ("wake_at") WHERE status = 'pending';--> statement-breakpoint
CREATE INDEX "outgoing_deliveries_by_run" ON "kos"."outgoing_deliveries" USING btree ("run_id");--> statement-breakpoint
CREATE INDEX "outgoing_deliveries_finished" ON "kos"."outgoing_deliveries" USING btree ("finished_at") WHERE finished_at is not null;--> statement-breakpoint
CREATE UNIQUE INDEX "webhooks_name" ON "kos"."webhooks" USING btree ("workspace_id","name");--> statement-breakpoint
CREATE INDEX "webhooks_behind" ON "kos"."webhooks" USING btree ("seen_seq") WHERE enabled;
--> statement-breakpoint
ALTER TABLE "kos"."webhooks" ENABLE ROW LEVEL SECURITY;--> statement-breakpoint
ALTER TABLE "kos"."webhooks" FORCE ROW LEVEL SECURITY;--> statement-breakpoint
CREATE POLICY workspace ON "kos"."webhooks" USING (workspace_id = current_setting('kos.workspace_id', true)) WITH CHECK (workspace_id = current_setting('kos.workspace_id', true));--> statement-breakpoint
GRANT SELECT, INSERT, UPDATE, DELETE ON "kos"."webhooks" TO kos_app, kos_system;
--> statement-breakpoint
ALTER TABLE "kos"."outgoing_deliveries" ENABLE ROW LEVEL SECURITY;--> statement-breakpoint
ALTER TABLE "kos"."outgoing_deliveries" FORCE ROW LEVEL SECURITY;--> statement-breakpoint
CREATE POLICY workspace ON "kos"."outgoing_deliveries" USING (workspace_id = current_setting('kos.workspace_id', true)) WITH CHECK (workspace_id = current_setting('kos.workspace_id', true));--> statement-breakpoint
GRANT SELECT, INSERT, UPDATE, DELETE ON "kos"."outgoing_deliveries" TO kos_app, kos_system;