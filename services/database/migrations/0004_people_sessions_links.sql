CREATE TABLE "kos"."grants" (
	"id" text PRIMARY KEY NOT NULL,
	"principal_id" text NOT NULL,
	"workspace_id" text NOT NULL,
	"created_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	"expires_at" timestamp (3) with time zone NOT NULL,
	"revoked_at" timestamp (3) with time zone,
	"revoked_because" text
);
--> statement-breakpoint
CREATE TABLE "kos"."identities" (
	"issuer" text NOT NULL,
	"subject" text NOT NULL,
	"principal_id" text NOT NULL,
	"created_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "identities_issuer_subject_pk" PRIMARY KEY("issuer","subject")
);
--> statement-breakpoint
CREATE TABLE "kos"."links" (
	"id" text PRIMARY KEY NOT NULL,
	"kind" text NOT NULL,
	"token_hash" "bytea" NOT NULL,
	"principal_id" text,
	"workspace_id" text,
	"login" text,
	"roles" jsonb,
	"created_by" text NOT NULL,
	"created_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	"expires_at" timestamp (3) with time zone NOT NULL,
	"spent_at" timestamp (3) with time zone,
	"revoked_at" timestamp (3) with time zone
);
--> statement-breakpoint
CREATE TABLE "kos"."oidc_flows" (
	"state_hash" "bytea" PRIMARY KEY NOT NULL,
	"browser_hash" "bytea" NOT NULL,
	"nonce" text NOT NULL,
	"code_verifier" text NOT NULL,
	"link_hash" "bytea",
	"principal_id" text,
	"expires_at" timestamp (3) with time zone NOT NULL
);
--> statement-breakpoint
CREATE TABLE "kos"."passwords" (
	"principal_id" text PRIMARY KEY NOT NULL,
	"hash" text NOT NULL,
	"updated_at" timestamp (3) with time zone DEFAULT now() NOT NULL
);
--> statement-breakpoint
CREATE TABLE "kos"."rate_buckets" (
	"key" text PRIMARY KEY NOT NULL,
	"tokens" double precision NOT NULL,
	"updated_at" timestamp (3) with time zone NOT NULL
);
--> statement-breakpoint
CREATE TABLE "kos"."refresh_tokens" (
	"token_hash" "bytea" PRIMARY KEY NOT NULL,
	"grant_id" text NOT NULL,
	"created_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	"used_at" timestamp (3) with time zone
);
--> statement-breakpoint
CREATE TABLE "kos"."sessions" (
	"id" text PRIMARY KEY NOT NULL,
	"principal_id" text NOT NULL,
	"token_hash" "bytea" NOT NULL,
	"previous_hash" "bytea",
	"previous_until" timestamp (3) with time zone,
	"renew" boolean DEFAULT false NOT NULL,
	"method" text NOT NULL,
	"user_agent" text NOT NULL,
	"created_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	"last_seen_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	"expires_at" timestamp (3) with time zone NOT NULL,
	"revoked_at" timestamp (3) with time zone
);
--> statement-breakpoint
CREATE TABLE "kos"."sign_in_failures" (
	"account" text PRIMARY KEY NOT NULL,
	"failures" integer NOT NULL,
	"last_failed_at" timestamp (3) with time zone NOT NULL
);
--> statement-breakpoint
ALTER TABLE "kos"."credentials" ADD COLUMN "name" text DEFAULT '' NOT NULL;--> statement-breakpoint
ALTER TABLE "kos"."credentials" ADD COLUMN "public_id" text;--> statement-breakpoint
ALTER TABLE "kos"."credentials" ADD COLUMN "last_used_at" timestamp (3) with time zone;--> statement-breakpoint
ALTER TABLE "kos"."principals" ADD COLUMN "login" text;--> statement-breakpoint
ALTER TABLE "kos"."principals" ADD COLUMN "installation_role" text;--> statement-breakpoint
ALTER TABLE "kos"."principals" ADD COLUMN "preferences" jsonb DEFAULT '{}'::jsonb NOT NULL;--> statement-breakpoint
ALTER TABLE "kos"."grants" ADD CONSTRAINT "grants_principal_id_principals_id_fk" FOREIGN KEY ("principal_id") REFERENCES "kos"."principals"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "kos"."identities" ADD CONSTRAINT "identities_principal_id_principals_id_fk" FOREIGN KEY ("principal_id") REFERENCES "kos"."principals"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "kos"."links" ADD CONSTRAINT "links_principal_id_principals_id_fk" FOREIGN KEY ("principal_id") REFERENCES "kos"."principals"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "kos"."oidc_flows" ADD CONSTRAINT "oidc_flows_principal_id_principals_id_fk" FOREIGN KEY ("principal_id") REFERENCES "kos"."principals"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "kos"."passwords" ADD CONSTRAINT "passwords_principal_id_principals_id_fk" FOREIGN KEY ("principal_id") REFERENCES "kos"."principals"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "kos"."refresh_tokens" ADD CONSTRAINT "refresh_tokens_grant_id_grants_id_fk" FOREIGN KEY ("grant_id") REFERENCES "kos"."grants"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "kos"."sessions" ADD CONSTRAINT "sessions_principal_id_principals_id_fk" FOREIGN KEY ("principal_id") REFERENCES "kos"."principals"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "grants_by_principal" ON "kos"."grants" USING btree ("principal_id");--> statement-breakpoint
CREATE INDEX "identities_by_principal" ON "kos"."identities" USING btree ("principal_id");--> statement-breakpoint
CREATE UNIQUE INDEX "links_token" ON "kos"."links" USING btree ("token_hash");--> statement-breakpoint
CREATE INDEX "links_by_workspace" ON "kos"."links" USING btree ("workspace_id");--> statement-breakpoint
CREATE INDEX "refresh_tokens_by_grant" ON "kos"."refresh_tokens" USING btree ("grant_id");--> statement-breakpoint
CREATE UNIQUE INDEX "sessions_token" ON "kos"."sessions" USING btree ("token_hash");--> statement-breakpoint
CREATE INDEX "sessions_previous" ON "kos"."sessions" USING btree ("previous_hash") WHERE previous_hash is not null;--> statement-breakpoint
CREATE INDEX "sessions_by_principal" ON "kos"."sessions" USING btree ("principal_id");--> statement-breakpoint
CREATE UNIQUE INDEX "credentials_secret" ON "kos"."credentials" USING btree ("secret_hash");--> statement-breakpoint
CREATE INDEX "credentials_by_principal" ON "kos"."credentials" USING btree ("principal_id");--> statement-breakpoint
CREATE UNIQUE INDEX "principals_login" ON "kos"."principals" USING btree ("login");--> statement-breakpoint
-- Rate limits lose nothing worth keeping in a crash: no write-ahead log for them.
ALTER TABLE kos.rate_buckets SET UNLOGGED;
--> statement-breakpoint
-- The installation's own tables: the application's login reaches none of them.
GRANT SELECT, INSERT, UPDATE, DELETE ON kos.passwords, kos.sign_in_failures, kos.links, kos.sessions, kos.identities, kos.oidc_flows, kos.grants, kos.refresh_tokens, kos.rate_buckets TO kos_system;
--> statement-breakpoint
-- Takes up to `wanted` whole tokens out of a bucket that refills steadily; says how many it gave and how many are left.
CREATE FUNCTION kos.draw_tokens(bucket text, capacity double precision, per_second double precision, wanted double precision)
RETURNS TABLE (granted double precision, remaining double precision) LANGUAGE plpgsql AS $$
DECLARE
  available double precision;
  moment timestamptz;
BEGIN
  INSERT INTO kos.rate_buckets (key, tokens, updated_at) VALUES (bucket, capacity, clock_timestamp()) ON CONFLICT (key) DO NOTHING;
  PERFORM 1 FROM kos.rate_buckets WHERE key = bucket FOR UPDATE;
  moment := clock_timestamp();
  SELECT least(capacity, tokens + greatest(0, extract(epoch FROM moment - updated_at)) * per_second) INTO available FROM kos.rate_buckets WHERE key = bucket;
  available := coalesce(available, capacity);
  granted := greatest(0, floor(least(wanted, available)));
  remaining := available - granted;
  UPDATE kos.rate_buckets SET tokens = remaining, updated_at = moment WHERE key = bucket;
  RETURN NEXT;
END $$;
