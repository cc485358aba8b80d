-- Row security on every table that belongs to a workspace, and what each role may do. Roles are made before migrations run (prepare.ts).
GRANT USAGE ON SCHEMA kos TO kos_app, kos_system;
--> statement-breakpoint
DO $$
DECLARE
  name text;
BEGIN
  FOR name IN
    SELECT c.table_name FROM information_schema.columns c
    WHERE c.table_schema = 'kos' AND c.column_name = 'workspace_id' AND c.table_name <> 'credentials'
  LOOP
    EXECUTE format('ALTER TABLE kos.%I ENABLE ROW LEVEL SECURITY', name);
    EXECUTE format('ALTER TABLE kos.%I FORCE ROW LEVEL SECURITY', name);
    EXECUTE format(
      'CREATE POLICY workspace ON kos.%I USING (workspace_id = current_setting(''kos.workspace_id'', true)) WITH CHECK (workspace_id = current_setting(''kos.workspace_id'', true))',
      name);
    EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON kos.%I TO kos_app', name);
  END LOOP;
END $$;
--> statement-breakpoint
-- The record is written and read by the application, never changed by it.
REVOKE UPDATE, DELETE ON kos.audit_entries, kos.events, kos.plan_versions, kos.model_calls FROM kos_app;
--> statement-breakpoint
-- Their numbers come from the sequencer alone: the application may write the other columns only.
REVOKE INSERT ON kos.events, kos.audit_entries FROM kos_app;
--> statement-breakpoint
GRANT INSERT (id, workspace_id, run_id, type, data) ON kos.events TO kos_app;
--> statement-breakpoint
GRANT INSERT (id, workspace_id, actor, action, subject, data) ON kos.audit_entries TO kos_app;
--> statement-breakpoint
GRANT USAGE ON ALL SEQUENCES IN SCHEMA kos TO kos_app, kos_system;
--> statement-breakpoint
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA kos TO kos_system;
--> statement-breakpoint
INSERT INTO kos.sequencer (id, epoch, last_event_seq, audit_size, audit_frontier)
VALUES (1, substr(md5(gen_random_uuid()::text), 1, 8), 0, 0, ''::bytea);
