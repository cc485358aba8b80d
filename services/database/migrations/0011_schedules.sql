CREATE TABLE "kos"."schedule_orders" (
	"id" text PRIMARY KEY NOT NULL,
	"workspace_id" text NOT NULL,
	"schedule_id" text NOT NULL,
	"kind" text NOT NULL,
	"overlap" text NOT NULL,
	"from_at" timestamp (3) with time zone NOT NULL,
	"to_at" timestamp (3) with time zone NOT NULL,
	"ordered_by" text NOT NULL,
	"responsible" text NOT NULL,
	"created_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	"sent_at" timestamp (3) with time zone
);
--> statement-breakpoint
CREATE TABLE "kos"."schedule_starts" (
	"workspace_id" text NOT NULL,
	"schedule_id" text NOT NULL,
	"nominal_at" timestamp (3) with time zone NOT NULL,
	"order_id" text DEFAULT '' NOT NULL,
	"kind" text NOT NULL,
	"status" text NOT NULL,
	"reason" text,
	"run_id" text,
	"wrapper" text,
	"at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "schedule_starts_schedule_id_nominal_at_order_id_pk" PRIMARY KEY("schedule_id","nominal_at","order_id")
);
--> statement-breakpoint
CREATE TABLE "kos"."schedules" (
	"id" text PRIMARY KEY NOT NULL,
	"workspace_id" text NOT NULL,
	"name" text NOT NULL,
	"plan_name" text NOT NULL,
	"definition" jsonb NOT NULL,
	"paused" boolean DEFAULT false NOT NULL,
	"note" text,
	"runs_left" integer,
	"created_by" text NOT NULL,
	"granted" jsonb NOT NULL,
	"version" integer DEFAULT 1 NOT NULL,
	"synced_version" integer DEFAULT 0 NOT NULL,
	"sync_error" text,
	"sync_after" timestamp (3) with time zone DEFAULT now() NOT NULL,
	"watched_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	"suspect_since" timestamp (3) with time zone,
	"counted_missed" integer DEFAULT 0 NOT NULL,
	"counted_skipped" integer DEFAULT 0 NOT NULL,
	"created_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	"updated_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	"deleted_at" timestamp (3) with time zone
);
--> statement-breakpoint
CREATE INDEX "schedule_orders_unsent" ON "kos"."schedule_orders" USING btree ("created_at") WHERE sent_at is null;--> statement-breakpoint
CREATE INDEX "schedule_orders_by_schedule" ON "kos"."schedule_orders" USING btree ("schedule_id");--> statement-breakpoint
CREATE INDEX "schedule_starts_newest" ON "kos"."schedule_starts" USING btree ("schedule_id","at" DESC NULLS LAST);--> statement-breakpoint
CREATE INDEX "schedule_starts_by_run" ON "kos"."schedule_starts" USING btree ("run_id") WHERE run_id is not null;--> statement-breakpoint
CREATE UNIQUE INDEX "schedules_name" ON "kos"."schedules" USING btree ("workspace_id","name") WHERE deleted_at is null;--> statement-breakpoint
CREATE INDEX "schedules_unsynced" ON "kos"."schedules" USING btree ("sync_after") WHERE synced_version < version;--> statement-breakpoint
CREATE INDEX "schedules_by_plan" ON "kos"."schedules" USING btree ("workspace_id","plan_name");
--> statement-breakpoint
ALTER TABLE "kos"."schedules" ENABLE ROW LEVEL SECURITY;--> statement-breakpoint
ALTER TABLE "kos"."schedules" FORCE ROW LEVEL SECURITY;--> statement-breakpoint
CREATE POLICY workspace ON "kos"."schedules" USING (workspace_id = current_setting('kos.workspace_id', true)) WITH CHECK (workspace_id = current_setting('kos.workspace_id', true));--> statement-breakpoint
GRANT SELECT, INSERT, UPDATE, DELETE ON "kos"."schedules" TO kos_app, kos_system;--> statement-breakpoint
ALTER TABLE "kos"."schedule_starts" ENABLE ROW LEVEL SECURITY;--> statement-breakpoint
ALTER TABLE "kos"."schedule_starts" FORCE ROW LEVEL SECURITY;--> statement-breakpoint
CREATE POLICY workspace ON "kos"."schedule_starts" USING (workspace_id = current_setting('kos.workspace_id', true)) WITH CHECK (workspace_id = current_setting('kos.workspace_id', true));--> statement-breakpoint
GRANT SELECT, INSERT, UPDATE, DELETE ON "kos"."schedule_starts" TO kos_app, kos_system;--> statement-breakpoint
ALTER TABLE "kos"."schedule_orders" ENABLE ROW LEVEL SECURITY;--> statement-breakpoint
ALTER TABLE "kos"."schedule_orders" FORCE ROW LEVEL SECURITY;--> statement-breakpoint
CREATE POLICY workspace ON "kos"."schedule_orders" USING (workspace_id = current_setting('kos.workspace_id', true)) WITH CHECK (workspace_id = current_setting('kos.workspace_id', true));--> statement-breakpoint
GRANT SELECT, INSERT, UPDATE, DELETE ON "kos"."schedule_orders" TO kos_app, kos_system;--> statement-breakpoint
-- What somebody may do in the workspace of this transaction right now; no row: nothing. What acts for a person asks before it does.
CREATE FUNCTION kos.present_rights(person text) RETURNS TABLE (roles jsonb, installation_role text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog
AS $$
  SELECT m.roles, p.installation_role FROM kos.memberships m JOIN kos.principals p ON p.id = m.principal_id
  WHERE m.workspace_id = current_setting('kos.workspace_id', true) AND m.principal_id = person AND NOT m.disabled AND p.disabled_at IS NULL
$$;--> statement-breakpoint
REVOKE ALL ON FUNCTION kos.present_rights(text) FROM PUBLIC;--> statement-breakpoint
GRANT EXECUTE ON FUNCTION kos.present_rights(text) TO kos_app, kos_system;
