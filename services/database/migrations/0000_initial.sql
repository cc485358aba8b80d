CREATE SCHEMA "kos";
--> statement-breakpoint
CREATE TABLE "kos"."checkpoints" (
	"size" bigint PRIMARY KEY NOT NULL,
	"root" "bytea" NOT NULL,
	"note" text NOT NULL,
	"created_at" timestamp (3) with time zone DEFAULT now() NOT NULL
);
--> statement-breakpoint
CREATE TABLE "kos"."credentials" (
	"id" text PRIMARY KEY NOT NULL,
	"principal_id" text NOT NULL,
	"workspace_id" text NOT NULL,
	"kind" text NOT NULL,
	"secret_hash" "bytea" NOT NULL,
	"scopes" jsonb,
	"created_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	"expires_at" timestamp (3) with time zone,
	"revoked_at" timestamp (3) with time zone
);
--> statement-breakpoint
CREATE TABLE "kos"."installation_settings" (
	"key" text PRIMARY KEY NOT NULL,
	"value" jsonb NOT NULL,
	"updated_at" timestamp (3) with time zone DEFAULT now() NOT NULL
);
--> statement-breakpoint
CREATE TABLE "kos"."memberships" (
	"workspace_id" text NOT NULL,
	"principal_id" text NOT NULL,
	"roles" jsonb NOT NULL,
	"created_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	"disabled" boolean DEFAULT false NOT NULL,
	CONSTRAINT "memberships_workspace_id_principal_id_pk" PRIMARY KEY("workspace_id","principal_id")
);
--> statement-breakpoint
CREATE TABLE "kos"."principals" (
	"id" text PRIMARY KEY NOT NULL,
	"kind" text NOT NULL,
	"name" text NOT NULL,
	"public_key" text NOT NULL,
	"disabled_at" timestamp (3) with time zone,
	"created_at" timestamp (3) with time zone DEFAULT now() NOT NULL
);
--> statement-breakpoint
CREATE TABLE "kos"."sequencer" (
	"id" integer PRIMARY KEY NOT NULL,
	"epoch" text NOT NULL,
	"last_event_seq" bigint NOT NULL,
	"audit_size" bigint NOT NULL,
	"audit_frontier" "bytea" NOT NULL,
	"updated_at" timestamp (3) with time zone DEFAULT now() NOT NULL
);
--> statement-breakpoint
CREATE TABLE "kos"."workspaces" (
	"workspace_id" text PRIMARY KEY NOT NULL,
	"slug" text NOT NULL,
	"name" text NOT NULL,
	"created_at" timestamp (3) with time zone DEFAULT now() NOT NULL
);
--> statement-breakpoint
CREATE TABLE "kos"."plan_versions" (
	"workspace_id" text NOT NULL,
	"name" text NOT NULL,
	"version" integer NOT NULL,
	"digest" text NOT NULL,
	"source" text NOT NULL,
	"document" json NOT NULL,
	"shape" jsonb NOT NULL,
	"created_by" text NOT NULL,
	"created_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "plan_versions_workspace_id_name_version_pk" PRIMARY KEY("workspace_id","name","version")
);
--> statement-breakpoint
CREATE TABLE "kos"."plans" (
	"workspace_id" text NOT NULL,
	"name" text NOT NULL,
	"latest_version" integer NOT NULL,
	"archived" boolean DEFAULT false NOT NULL,
	"created_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	"updated_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "plans_workspace_id_name_pk" PRIMARY KEY("workspace_id","name")
);
--> statement-breakpoint
CREATE TABLE "kos"."artifact_references" (
	"workspace_id" text NOT NULL,
	"artifact_id" text NOT NULL,
	"run_id" text NOT NULL,
	CONSTRAINT "artifact_references_artifact_id_run_id_pk" PRIMARY KEY("artifact_id","run_id")
);
--> statement-breakpoint
CREATE TABLE "kos"."artifacts" (
	"id" text PRIMARY KEY NOT NULL,
	"workspace_id" text NOT NULL,
	"run_id" text NOT NULL,
	"step_path" text NOT NULL,
	"name" text NOT NULL,
	"media_type" text NOT NULL,
	"size_bytes" bigint NOT NULL,
	"sha256" text NOT NULL,
	"created_at" timestamp (3) with time zone DEFAULT now() NOT NULL
);
--> statement-breakpoint
CREATE TABLE "kos"."audit_entries" (
	"id" text PRIMARY KEY NOT NULL,
	"inserted" bigserial NOT NULL,
	"workspace_id" text NOT NULL,
	"at" timestamp (3) with time zone DEFAULT clock_timestamp() NOT NULL,
	"actor" text NOT NULL,
	"action" text NOT NULL,
	"subject" text NOT NULL,
	"data" jsonb NOT NULL,
	"leaf_index" bigint,
	"leaf_hash" "bytea"
);
--> statement-breakpoint
CREATE TABLE "kos"."events" (
	"id" text PRIMARY KEY NOT NULL,
	"inserted" bigserial NOT NULL,
	"workspace_id" text NOT NULL,
	"run_id" text,
	"type" text NOT NULL,
	"at" timestamp (3) with time zone DEFAULT clock_timestamp() NOT NULL,
	"data" jsonb NOT NULL,
	"seq" bigint
);
--> statement-breakpoint
CREATE TABLE "kos"."idempotency_keys" (
	"workspace_id" text NOT NULL,
	"principal_id" text NOT NULL,
	"route" text NOT NULL,
	"key" text NOT NULL,
	"body_digest" text NOT NULL,
	"status" integer NOT NULL,
	"reference" jsonb NOT NULL,
	"created_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "idempotency_keys_workspace_id_principal_id_route_key_pk" PRIMARY KEY("workspace_id","principal_id","route","key")
);
--> statement-breakpoint
CREATE TABLE "kos"."secrets" (
	"workspace_id" text NOT NULL,
	"name" text NOT NULL,
	"sealed" "bytea" NOT NULL,
	"hosts" jsonb NOT NULL,
	"version" integer DEFAULT 1 NOT NULL,
	"created_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	"updated_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "secrets_workspace_id_name_pk" PRIMARY KEY("workspace_id","name")
);
--> statement-breakpoint
CREATE TABLE "kos"."settings" (
	"workspace_id" text PRIMARY KEY NOT NULL,
	"value" jsonb NOT NULL,
	"version" integer DEFAULT 1 NOT NULL,
	"updated_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	"updated_by" text NOT NULL
);
--> statement-breakpoint
CREATE TABLE "kos"."effects" (
	"key" text PRIMARY KEY NOT NULL,
	"workspace_id" text NOT NULL,
	"run_id" text NOT NULL,
	"step_path" text NOT NULL,
	"tool" text NOT NULL,
	"status" text NOT NULL,
	"fence" integer NOT NULL,
	"input_digest" text NOT NULL,
	"calls" integer DEFAULT 0 NOT NULL,
	"created_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	"updated_at" timestamp (3) with time zone DEFAULT now() NOT NULL
);
--> statement-breakpoint
CREATE TABLE "kos"."model_calls" (
	"id" text PRIMARY KEY NOT NULL,
	"workspace_id" text NOT NULL,
	"run_id" text NOT NULL,
	"step_path" text NOT NULL,
	"attempt" integer NOT NULL,
	"provider" text NOT NULL,
	"model" text NOT NULL,
	"input_tokens" integer NOT NULL,
	"cached_input_tokens" integer NOT NULL,
	"output_tokens" integer NOT NULL,
	"reasoning_tokens" integer NOT NULL,
	"cost_micros" bigint,
	"currency" text NOT NULL,
	"possibly_billed_twice" boolean DEFAULT false NOT NULL,
	"duration_ms" integer NOT NULL,
	"at" timestamp (3) with time zone DEFAULT now() NOT NULL
);
--> statement-breakpoint
CREATE TABLE "kos"."output_references" (
	"workspace_id" text NOT NULL,
	"output_id" text NOT NULL,
	"run_id" text NOT NULL,
	CONSTRAINT "output_references_output_id_run_id_pk" PRIMARY KEY("output_id","run_id")
);
--> statement-breakpoint
CREATE TABLE "kos"."outputs" (
	"id" text PRIMARY KEY NOT NULL,
	"workspace_id" text NOT NULL,
	"value" json NOT NULL,
	"size_bytes" integer NOT NULL,
	"created_at" timestamp (3) with time zone DEFAULT now() NOT NULL
);
--> statement-breakpoint
CREATE TABLE "kos"."runs" (
	"id" text PRIMARY KEY NOT NULL,
	"workspace_id" text NOT NULL,
	"plan_name" text NOT NULL,
	"plan_version" integer NOT NULL,
	"plan_digest" text NOT NULL,
	"status" text NOT NULL,
	"waiting_for" jsonb,
	"input" json NOT NULL,
	"output" json,
	"error" jsonb,
	"labels" jsonb NOT NULL,
	"started_by" text NOT NULL,
	"responsible" text NOT NULL,
	"origin" jsonb NOT NULL,
	"created_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	"started_at" timestamp (3) with time zone,
	"finished_at" timestamp (3) with time zone,
	"cost_micros" bigint DEFAULT 0 NOT NULL,
	"currency" text DEFAULT 'USD' NOT NULL,
	"parent_run_id" text,
	"pinned" boolean DEFAULT false NOT NULL,
	"generation" integer DEFAULT 1 NOT NULL,
	"claimed_by" text,
	"rules" integer NOT NULL,
	"cancel_requested_at" timestamp (3) with time zone,
	"cancel_requested_by" text,
	"cancel_reason" text,
	"deadline_at" timestamp (3) with time zone
);
--> statement-breakpoint
CREATE TABLE "kos"."steps" (
	"workspace_id" text NOT NULL,
	"run_id" text NOT NULL,
	"path" text NOT NULL,
	"step" integer NOT NULL,
	"item" integer,
	"kind" text NOT NULL,
	"status" text NOT NULL,
	"attempt" integer DEFAULT 0 NOT NULL,
	"fence" integer DEFAULT 0 NOT NULL,
	"input" json,
	"output" json,
	"output_id" text,
	"error" jsonb,
	"waiting_for" jsonb,
	"retry_at" timestamp (3) with time zone,
	"started_at" timestamp (3) with time zone,
	"finished_at" timestamp (3) with time zone,
	"cost_micros" bigint DEFAULT 0 NOT NULL,
	"metadata" jsonb DEFAULT '{}'::jsonb NOT NULL,
	CONSTRAINT "steps_run_id_path_pk" PRIMARY KEY("run_id","path")
);
--> statement-breakpoint
CREATE TABLE "kos"."approvals" (
	"id" text PRIMARY KEY NOT NULL,
	"workspace_id" text NOT NULL,
	"wait_id" text NOT NULL,
	"run_id" text NOT NULL,
	"step_path" text NOT NULL,
	"status" text DEFAULT 'open' NOT NULL,
	"message" text,
	"arguments" json NOT NULL,
	"arguments_digest" text NOT NULL,
	"from" text NOT NULL,
	"required" integer NOT NULL,
	"four_eyes" boolean NOT NULL,
	"decisions" jsonb DEFAULT '[]'::jsonb NOT NULL,
	"created_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	"expires_at" timestamp (3) with time zone,
	"decided_at" timestamp (3) with time zone
);
--> statement-breakpoint
CREATE TABLE "kos"."outbox" (
	"id" bigserial PRIMARY KEY NOT NULL,
	"workspace_id" text NOT NULL,
	"run_id" text NOT NULL,
	"kind" text NOT NULL,
	"payload" jsonb NOT NULL,
	"attempts" integer DEFAULT 0 NOT NULL,
	"next_attempt_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	"last_error" text,
	"created_at" timestamp (3) with time zone DEFAULT now() NOT NULL
);
--> statement-breakpoint
CREATE TABLE "kos"."waits" (
	"id" text PRIMARY KEY NOT NULL,
	"workspace_id" text NOT NULL,
	"run_id" text NOT NULL,
	"step_path" text NOT NULL,
	"kind" text NOT NULL,
	"status" text DEFAULT 'open' NOT NULL,
	"version" integer DEFAULT 1 NOT NULL,
	"opened_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	"expires_at" timestamp (3) with time zone,
	"closed_at" timestamp (3) with time zone
);
--> statement-breakpoint
ALTER TABLE "kos"."credentials" ADD CONSTRAINT "credentials_principal_id_principals_id_fk" FOREIGN KEY ("principal_id") REFERENCES "kos"."principals"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "kos"."memberships" ADD CONSTRAINT "memberships_principal_id_principals_id_fk" FOREIGN KEY ("principal_id") REFERENCES "kos"."principals"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
CREATE UNIQUE INDEX "workspaces_slug" ON "kos"."workspaces" USING btree ("slug");--> statement-breakpoint
CREATE UNIQUE INDEX "plan_versions_digest" ON "kos"."plan_versions" USING btree ("workspace_id","name","digest");--> statement-breakpoint
CREATE INDEX "artifact_references_by_run" ON "kos"."artifact_references" USING btree ("run_id");--> statement-breakpoint
CREATE INDEX "artifacts_newest" ON "kos"."artifacts" USING btree ("workspace_id","created_at" DESC NULLS LAST,"id" DESC NULLS LAST);--> statement-breakpoint
CREATE UNIQUE INDEX "artifacts_by_step" ON "kos"."artifacts" USING btree ("run_id","step_path");--> statement-breakpoint
CREATE INDEX "artifacts_by_content" ON "kos"."artifacts" USING btree ("workspace_id","sha256");--> statement-breakpoint
CREATE INDEX "audit_unsequenced" ON "kos"."audit_entries" USING btree ("inserted") WHERE leaf_index is null;--> statement-breakpoint
CREATE UNIQUE INDEX "audit_leaf" ON "kos"."audit_entries" USING btree ("leaf_index") WHERE leaf_index is not null;--> statement-breakpoint
CREATE INDEX "audit_by_subject" ON "kos"."audit_entries" USING btree ("workspace_id","subject");--> statement-breakpoint
CREATE INDEX "events_unsequenced" ON "kos"."events" USING btree ("inserted") WHERE seq is null;--> statement-breakpoint
CREATE UNIQUE INDEX "events_seq" ON "kos"."events" USING btree ("seq") WHERE seq is not null;--> statement-breakpoint
CREATE INDEX "events_by_run" ON "kos"."events" USING btree ("run_id","seq");--> statement-breakpoint
CREATE INDEX "events_by_workspace" ON "kos"."events" USING btree ("workspace_id","seq");--> statement-breakpoint
CREATE INDEX "idempotency_keys_age" ON "kos"."idempotency_keys" USING btree ("created_at");--> statement-breakpoint
CREATE INDEX "effects_by_run" ON "kos"."effects" USING btree ("run_id");--> statement-breakpoint
CREATE INDEX "model_calls_by_run" ON "kos"."model_calls" USING btree ("run_id");--> statement-breakpoint
CREATE INDEX "output_references_by_run" ON "kos"."output_references" USING btree ("run_id");--> statement-breakpoint
CREATE INDEX "runs_newest" ON "kos"."runs" USING btree ("workspace_id","created_at" DESC NULLS LAST,"id" DESC NULLS LAST);--> statement-breakpoint
CREATE INDEX "runs_by_plan" ON "kos"."runs" USING btree ("workspace_id","plan_name","created_at" DESC NULLS LAST);--> statement-breakpoint
CREATE INDEX "runs_open" ON "kos"."runs" USING btree ("status") WHERE status in ('queued', 'running', 'waiting', 'paused');--> statement-breakpoint
CREATE INDEX "runs_finished" ON "kos"."runs" USING btree ("workspace_id","finished_at") WHERE finished_at is not null;--> statement-breakpoint
CREATE INDEX "steps_by_number" ON "kos"."steps" USING btree ("run_id","step","item");--> statement-breakpoint
CREATE INDEX "approvals_by_run" ON "kos"."approvals" USING btree ("run_id");--> statement-breakpoint
CREATE INDEX "approvals_newest" ON "kos"."approvals" USING btree ("workspace_id","created_at" DESC NULLS LAST,"id" DESC NULLS LAST);--> statement-breakpoint
CREATE INDEX "approvals_open" ON "kos"."approvals" USING btree ("workspace_id") WHERE status = 'open';--> statement-breakpoint
CREATE INDEX "outbox_due" ON "kos"."outbox" USING btree ("next_attempt_at");--> statement-breakpoint
CREATE INDEX "waits_by_run" ON "kos"."waits" USING btree ("run_id","step_path");--> statement-breakpoint
CREATE INDEX "waits_open" ON "kos"."waits" USING btree ("expires_at") WHERE status = 'open';