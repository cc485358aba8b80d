CREATE TABLE "kos"."concurrency_slots" (
	"id" bigserial PRIMARY KEY NOT NULL,
	"workspace_id" text NOT NULL,
	"plan_name" text NOT NULL,
	"key" text NOT NULL,
	"run_id" text NOT NULL,
	"slots" integer NOT NULL,
	"held_at" timestamp (3) with time zone,
	"start_order" jsonb NOT NULL,
	"created_at" timestamp (3) with time zone DEFAULT now() NOT NULL
);
--> statement-breakpoint
ALTER TABLE "kos"."runs" ADD COLUMN "start_at" timestamp (3) with time zone;--> statement-breakpoint
ALTER TABLE "kos"."runs" ADD COLUMN "timeout_ms" bigint;--> statement-breakpoint
ALTER TABLE "kos"."runs" ADD COLUMN "concurrency_key" text;--> statement-breakpoint
CREATE UNIQUE INDEX "concurrency_slots_run" ON "kos"."concurrency_slots" USING btree ("run_id");--> statement-breakpoint
CREATE INDEX "concurrency_slots_line" ON "kos"."concurrency_slots" USING btree ("workspace_id","plan_name","key","id");--> statement-breakpoint
CREATE INDEX "concurrency_slots_waiting" ON "kos"."concurrency_slots" USING btree ("id") WHERE held_at is null;--> statement-breakpoint
ALTER TABLE "kos"."concurrency_slots" ENABLE ROW LEVEL SECURITY;--> statement-breakpoint
ALTER TABLE "kos"."concurrency_slots" FORCE ROW LEVEL SECURITY;--> statement-breakpoint
CREATE POLICY workspace ON "kos"."concurrency_slots" USING (workspace_id = current_setting('kos.workspace_id', true)) WITH CHECK (workspace_id = current_setting('kos.workspace_id', true));--> statement-breakpoint
GRANT SELECT, INSERT, UPDATE, DELETE ON "kos"."concurrency_slots" TO kos_app, kos_system;--> statement-breakpoint
GRANT USAGE ON SEQUENCE "kos"."concurrency_slots_id_seq" TO kos_app, kos_system;--> statement-breakpoint
-- A slot is given back by the very statement that closes its run, whoever closes it.
CREATE FUNCTION kos.give_back_slot() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  DELETE FROM kos.concurrency_slots WHERE run_id = NEW.id;
  RETURN NULL;
END $$;--> statement-breakpoint
CREATE TRIGGER runs_give_back_slot AFTER UPDATE OF status ON "kos"."runs" FOR EACH ROW
WHEN (NEW.concurrency_key IS NOT NULL AND NEW.status IN ('succeeded', 'failed', 'cancelled', 'terminated') AND OLD.status IS DISTINCT FROM NEW.status)
EXECUTE FUNCTION kos.give_back_slot();
