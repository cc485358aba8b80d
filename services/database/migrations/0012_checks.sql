ALTER TABLE "kos"."waits" ADD COLUMN "next_look_at" timestamp (3) with time zone;--> statement-breakpoint
ALTER TABLE "kos"."waits" ADD COLUMN "last_look_at" timestamp (3) with time zone;--> statement-breakpoint
ALTER TABLE "kos"."waits" ADD COLUMN "looks" integer DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE "kos"."waits" ADD COLUMN "failures" integer DEFAULT 0 NOT NULL;