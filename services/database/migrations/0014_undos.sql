ALTER TABLE "kos"."runs" ADD COLUMN "undo_on_cancel" boolean DEFAULT true NOT NULL;--> statement-breakpoint
ALTER TABLE "kos"."runs" ADD COLUMN "ending" text;--> statement-breakpoint
ALTER TABLE "kos"."steps" ADD COLUMN "undoes" text;