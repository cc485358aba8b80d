CREATE TABLE "kos"."approval_escalations" (
	"id" text PRIMARY KEY NOT NULL,
	"workspace_id" text NOT NULL,
	"run_id" text NOT NULL,
	"wait_id" text NOT NULL,
	"approval_id" text NOT NULL,
	"due_at" timestamp (3) with time zone NOT NULL,
	"to" jsonb,
	"happened_at" timestamp (3) with time zone
);
--> statement-breakpoint
CREATE TABLE "kos"."approval_rules" (
	"workspace_id" text NOT NULL,
	"name" text NOT NULL,
	"version" integer NOT NULL,
	"tool" text NOT NULL,
	"condition" text,
	"description" text,
	"removed" boolean DEFAULT false NOT NULL,
	"created_by" text NOT NULL,
	"created_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "approval_rules_workspace_id_name_version_pk" PRIMARY KEY("workspace_id","name","version")
);
--> statement-breakpoint
ALTER TABLE "kos"."approvals" ADD COLUMN "approvers" jsonb;--> statement-breakpoint
ALTER TABLE "kos"."approvals" ADD COLUMN "covers" jsonb;--> statement-breakpoint
ALTER TABLE "kos"."approvals" ADD COLUMN "comments" jsonb DEFAULT '[]'::jsonb NOT NULL;--> statement-breakpoint
ALTER TABLE "kos"."approvals" ADD COLUMN "claimed_by" text;--> statement-breakpoint
ALTER TABLE "kos"."approvals" ADD COLUMN "claimed_until" timestamp (3) with time zone;--> statement-breakpoint
CREATE INDEX "approval_escalations_by_wait" ON "kos"."approval_escalations" USING btree ("wait_id");--> statement-breakpoint
CREATE INDEX "approval_escalations_by_run" ON "kos"."approval_escalations" USING btree ("run_id");--> statement-breakpoint
ALTER TABLE "kos"."approval_escalations" ENABLE ROW LEVEL SECURITY;--> statement-breakpoint
ALTER TABLE "kos"."approval_escalations" FORCE ROW LEVEL SECURITY;--> statement-breakpoint
CREATE POLICY workspace ON "kos"."approval_escalations" USING (workspace_id = current_setting('kos.workspace_id', true)) WITH CHECK (workspace_id = current_setting('kos.workspace_id', true));--> statement-breakpoint
GRANT SELECT, INSERT, UPDATE, DELETE ON "kos"."approval_escalations" TO kos_app, kos_system;--> statement-breakpoint
ALTER TABLE "kos"."approval_rules" ENABLE ROW LEVEL SECURITY;--> statement-breakpoint
ALTER TABLE "kos"."approval_rules" FORCE ROW LEVEL SECURITY;--> statement-breakpoint
CREATE POLICY workspace ON "kos"."approval_rules" USING (workspace_id = current_setting('kos.workspace_id', true)) WITH CHECK (workspace_id = current_setting('kos.workspace_id', true));--> statement-breakpoint
-- A version of a rule is part of the record: added, never changed.
GRANT SELECT, INSERT ON "kos"."approval_rules" TO kos_app;--> statement-breakpoint
GRANT SELECT, INSERT, UPDATE, DELETE ON "kos"."approval_rules" TO kos_system;--> statement-breakpoint
-- Who belongs to the workspace of this transaction: all that the application may learn of people and agents. Row security holds inside it, too.
CREATE FUNCTION kos.workspace_members() RETURNS TABLE (id text, kind text, name text, login text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog
AS $$
  SELECT p.id, p.kind, p.name, p.login FROM kos.memberships m JOIN kos.principals p ON p.id = m.principal_id
  WHERE m.workspace_id = current_setting('kos.workspace_id', true) AND NOT m.disabled AND p.disabled_at IS NULL
$$;--> statement-breakpoint
REVOKE ALL ON FUNCTION kos.workspace_members() FROM PUBLIC;--> statement-breakpoint
GRANT EXECUTE ON FUNCTION kos.workspace_members() TO kos_app, kos_system;
