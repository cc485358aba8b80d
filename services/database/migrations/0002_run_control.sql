ALTER TABLE "kos"."workspaces" ADD COLUMN "starts_held_at" timestamp (3) with time zone;--> statement-breakpoint
ALTER TABLE "kos"."workspaces" ADD COLUMN "starts_held_by" text;--> statement-breakpoint
ALTER TABLE "kos"."workspaces" ADD COLUMN "starts_held_reason" text;--> statement-breakpoint
ALTER TABLE "kos"."runs" ADD COLUMN "priority" integer DEFAULT 3 NOT NULL;--> statement-breakpoint
ALTER TABLE "kos"."runs" ADD COLUMN "control_version" integer DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE "kos"."runs" ADD COLUMN "paused_at" timestamp (3) with time zone;--> statement-breakpoint
ALTER TABLE "kos"."runs" ADD COLUMN "paused_by" text;--> statement-breakpoint
ALTER TABLE "kos"."runs" ADD COLUMN "pause_reason" text;