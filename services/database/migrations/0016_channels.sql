CREATE TABLE "kos"."channel_failures" (
	"workspace_id" text NOT NULL,
	"channel_id" text NOT NULL,
	"plan_name" text NOT NULL,
	"state" jsonb NOT NULL,
	"digest_at" timestamp (3) with time zone,
	CONSTRAINT "channel_failures_channel_id_plan_name_pk" PRIMARY KEY("channel_id","plan_name")
);
--> statement-breakpoint
CREATE TABLE "kos"."channels" (
	"id" text PRIMARY KEY NOT NULL,
	"workspace_id" text NOT NULL,
	"name" text NOT NULL,
	"definition" jsonb NOT NULL,
	"url" "bytea" NOT NULL,
	"host" text NOT NULL,
	"enabled" boolean DEFAULT true NOT NULL,
	"note" text,
	"created_by" text NOT NULL,
	"granted" jsonb NOT NULL,
	"seen_seq" bigint NOT NULL,
	"version" integer DEFAULT 1 NOT NULL,
	"created_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	"updated_at" timestamp (3) with time zone DEFAULT now() NOT NULL
);
--> statement-breakpoint
CREATE INDEX "channel_failures_due" ON "kos"."channel_failures" USING btree ("digest_at") WHERE digest_at is not null;--> statement-breakpoint
CREATE UNIQUE INDEX "channels_name" ON "kos"."channels" USING btree ("workspace_id","name");--> statement-breakpoint
CREATE INDEX "channels_behind" ON "kos"."channels" USING btree ("seen_seq") WHERE enabled;
--> statement-breakpoint
ALTER TABLE "kos"."channels" ENABLE ROW LEVEL SECURITY;--> statement-breakpoint
ALTER TABLE "kos"."channels" FORCE ROW LEVEL SECURITY;--> statement-breakpoint
CREATE POLICY workspace ON "kos"."channels" USING (workspace_id = current_setting('kos.workspace_id', true)) WITH CHECK (workspace_id = current_setting('kos.workspace_id', true));--> statement-breakpoint
GRANT SELECT, INSERT, UPDATE, DELETE ON "kos"."channels" TO kos_app, kos_system;
--> statement-breakpoint
ALTER TABLE "kos"."channel_failures" ENABLE ROW LEVEL SECURITY;--> statement-breakpoint
ALTER TABLE "kos"."channel_failures" FORCE ROW LEVEL SECURITY;--> statement-breakpoint
CREATE POLICY workspace ON "kos"."channel_failures" USING (workspace_id = current_setting('kos.workspace_id', true)) WITH CHECK (workspace_id = current_setting('kos.workspace_id', true));--> statement-breakpoint
GRANT SELECT, INSERT, UPDATE, DELETE ON "kos"."channel_failures" TO kos_app, kos_system;