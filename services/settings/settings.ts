import { join } from 'node:path';
import { KosError } from '#core/errors.ts';
import { type WorkspaceSettings, workspaceSettingsSchema } from '#schemas/settings.ts';
import type { Database, Transaction } from '#services/database/connect.ts';
import { recordAudit } from '#services/records/record.ts';
import type { AllowedRoot, ToolSettings } from '#services/tools/tool.ts';

export interface VersionedSettings {
  settings: WorkspaceSettings;
  /** 0: nobody has changed the defaults. */
  version: number;
}

export async function readVersionedSettings({ sql }: Transaction, workspaceId: string): Promise<VersionedSettings> {
  const [row] = await sql<{ value: unknown; version: number }[]>`select value, version from kos.settings where workspace_id = ${workspaceId}`;
  // Parsed again: a row written before a setting existed takes its default.
  return { settings: workspaceSettingsSchema.parse(row?.value ?? {}), version: row?.version ?? 0 };
}

export async function readSettings(transaction: Transaction, workspaceId: string): Promise<WorkspaceSettings> {
  return (await readVersionedSettings(transaction, workspaceId)).settings;
}

/** The hosts that a workspace allows, as they are now. */
export const readAllowedHosts = async (database: Database, workspaceId: string): Promise<readonly string[]> =>
  (await database.inWorkspace(workspaceId, (transaction) => readSettings(transaction, workspaceId))).egress;

/** Replaces the named settings if nobody else changed them since `version`; throws KosError `settings_changed` (412). */
export async function changeSettings(
  transaction: Transaction,
  request: { workspaceId: string; actor: string; version: number; change: Partial<WorkspaceSettings> },
): Promise<VersionedSettings> {
  const { workspaceId, actor, change } = request;
  const { sql } = transaction;
  // One change at a time, the first one included, for which there is no row to lock yet.
  await sql`select pg_advisory_xact_lock(hashtextextended(${`settings ${workspaceId}`}, 0))`;
  const before = await readVersionedSettings(transaction, workspaceId);
  if (before.version !== request.version) throw changedMeanwhile(before.version);
  const settings = workspaceSettingsSchema.parse({ ...before.settings, ...change });
  const version = before.version + 1;
  await sql`
    insert into kos.settings (workspace_id, value, version, updated_by) values (${workspaceId}, ${sql.json(settings)}, ${version}, ${actor})
    on conflict (workspace_id) do update set value = excluded.value, version = excluded.version, updated_by = excluded.updated_by, updated_at = now()`;
  const data = { version, before: pick(before.settings, change), after: pick(settings, change) };
  await recordAudit(sql, [{ workspaceId, actor, action: 'settings.change', subject: workspaceId, data }]);
  return { settings, version };
}

const pick = (settings: WorkspaceSettings, change: Partial<WorkspaceSettings>) =>
  structuredClone(Object.fromEntries(Object.entries(settings).filter(([name]) => name in change)));

const changedMeanwhile = (version: number): KosError =>
  new KosError({
    code: 'settings_changed',
    message: 'Somebody changed the settings after you read them.',
    fix: 'Read them again, then repeat the change on what they are now.',
    status: 412,
    extra: { currentVersion: version },
  });

/** Folders that tools may reach in every workspace, whatever its settings. */
export const builtInRoots = (places: { home: string; projectRoot: string }): AllowedRoot[] => [
  { path: join(places.home, 'logs'), write: false },
  { path: join(places.home, 'workspace'), write: true },
  { path: join(places.projectRoot, 'examples'), write: false },
  { path: '/var/log', write: false },
];

/** What tools may reach: the built-in roots and what the workspace's admins added. */
export const toolSettings = (settings: Pick<WorkspaceSettings, 'roots' | 'egress'>, builtIn: readonly AllowedRoot[]): ToolSettings => ({
  roots: [...builtIn, ...settings.roots],
  egress: settings.egress,
});

/** A change is seen by steps this much later at most, in milliseconds. */
const freshForMs = 1_500;

export interface SettingsReader {
  settingsFor(workspaceId: string): Promise<WorkspaceSettings>;
}

/** Reads each workspace's settings at most once in 1.5 s: for what asks at every step. */
export function createSettingsReader(dependencies: { database: Database; now: () => number }): SettingsReader {
  const { database, now } = dependencies;
  const known = new Map<string, { readAt: number; settings: Promise<WorkspaceSettings> }>();
  return {
    settingsFor(workspaceId) {
      const fresh = known.get(workspaceId);
      if (fresh !== undefined && now() - fresh.readAt < freshForMs) return fresh.settings;
      const settings = database.inWorkspace(workspaceId, (transaction) => readSettings(transaction, workspaceId));
      known.set(workspaceId, { readAt: now(), settings });
      // A failed read is not kept: the next one asks again.
      settings.catch(() => known.delete(workspaceId));
      return settings;
    },
  };
}
