import { KosError } from '#core/errors.ts';
import type { SecretDescription } from '#schemas/secret.ts';
import type { Database, Transaction } from '#services/database/connect.ts';
import { recordAudit } from '#services/records/record.ts';
import type { Sealing } from '#services/sealing/sealing.ts';

export interface SecretService {
  /** Writes the value; a secret that exists gets its next version. */
  set(request: { workspaceId: string; actor: string; name: string; value: string; hosts: string[] }): Promise<SecretDescription>;
  list(workspaceId: string): Promise<SecretDescription[]>;
  get(workspaceId: string, name: string): Promise<SecretDescription>;
  remove(request: { workspaceId: string; actor: string; name: string }): Promise<void>;
  /** For the step that uses it, and nobody else. Throws KosError `secret_refused` for a handle without a secret and for a host it is not bound to. */
  open(workspaceId: string, handle: string, host: string): Promise<string>;
}

interface SecretRow {
  name: string;
  hosts: string[];
  version: number;
  created_at: Date;
  updated_at: Date;
}

export function createSecretService(dependencies: { database: Database; sealing: Sealing }): SecretService {
  const { database, sealing } = dependencies;
  return {
    set: (request) => database.inWorkspace(request.workspaceId, (transaction) => writeSecret(transaction, sealing, request)),

    list: (workspaceId) =>
      database.inWorkspace(workspaceId, async ({ sql }) => {
        const rows = await sql<SecretRow[]>`select name, hosts, version, created_at, updated_at from kos.secrets order by name`;
        return rows.map(describe);
      }),

    get: (workspaceId, name) =>
      database.inWorkspace(workspaceId, async ({ sql }) => {
        const [row] = await sql<SecretRow[]>`select name, hosts, version, created_at, updated_at from kos.secrets where name = ${name}`;
        if (row === undefined) throw unknownSecret(name);
        return describe(row);
      }),

    remove: ({ workspaceId, actor, name }) =>
      database.inWorkspace(workspaceId, async ({ sql }) => {
        const removed = await sql`delete from kos.secrets where name = ${name} returning name`;
        if (removed.length === 0) throw unknownSecret(name);
        await recordAudit(sql, [{ workspaceId, actor, action: 'secret.remove', subject: name, data: {} }]);
      }),

    open: (workspaceId, handle, host) =>
      database.inWorkspace(workspaceId, async ({ sql }) => {
        const name = nameOf(handle);
        const [row] = await sql<{ sealed: Buffer; hosts: string[] }[]>`select sealed, hosts from kos.secrets where name = ${name}`;
        if (row === undefined) throw refused(`There is no secret called "${name}".`, `kai secret set ${name} --host ${host}`);
        if (!row.hosts.some((allowed) => isBoundTo(allowed, host))) {
          throw refused(`The secret "${name}" is not bound to ${host}.`, `kai secret set ${name} --host ${host}`);
        }
        return Buffer.from(sealing.open(row.sealed, associatedData(workspaceId, name))).toString('utf8');
      }),
  };
}

async function writeSecret(
  { sql }: Transaction,
  sealing: Sealing,
  request: { workspaceId: string; actor: string; name: string; value: string; hosts: string[] },
): Promise<SecretDescription> {
  const { workspaceId, actor, name, value } = request;
  const hosts = [...new Set(request.hosts.map((host) => host.toLowerCase()))].toSorted();
  const sealed = Buffer.from(sealing.seal(Buffer.from(value, 'utf8'), associatedData(workspaceId, name)));
  const [row] = await sql<SecretRow[]>`
    insert into kos.secrets (workspace_id, name, sealed, hosts) values (${workspaceId}, ${name}, ${sealed}, ${sql.json(hosts)})
    on conflict (workspace_id, name) do update set sealed = excluded.sealed, hosts = excluded.hosts, version = secrets.version + 1, updated_at = now()
    returning name, hosts, version, created_at, updated_at`;
  if (row === undefined) throw unknownSecret(name);
  await recordAudit(sql, [{ workspaceId, actor, action: 'secret.set', subject: name, data: { hosts, version: row.version } }]);
  return describe(row);
}

/** The seal holds for this workspace and name only: a row copied elsewhere does not open. */
const associatedData = (workspaceId: string, name: string): string => `${workspaceId}\n${name}`;

function nameOf(handle: string): string {
  const match = /^secret:\/\/([a-zA-Z][a-zA-Z0-9_-]{0,63})$/.exec(handle);
  if (match?.[1] === undefined) throw refused('A secret is named as secret://NAME.', null);
  return match[1];
}

/** `allowed` without a port holds for every port; `*.example.com` for subdomains only. */
export function isBoundTo(allowed: string, host: string): boolean {
  const wanted = host.toLowerCase();
  const candidates = hasPort(allowed) ? [wanted] : [wanted.replace(/:[0-9]+$/, '')];
  return candidates.some((candidate) =>
    allowed.startsWith('*.') ? candidate.endsWith(allowed.slice(1)) && candidate.length > allowed.length - 1 : candidate === allowed,
  );
}

const hasPort = (host: string): boolean => /^[^:]+:[0-9]+$|\]:[0-9]+$/.test(host);

const describe = (row: SecretRow): SecretDescription => ({
  name: row.name,
  hosts: row.hosts,
  version: row.version,
  createdAt: row.created_at.toISOString(),
  updatedAt: row.updated_at.toISOString(),
});

const unknownSecret = (name: string): KosError =>
  new KosError({ code: 'secret_not_found', message: `There is no secret called "${name}".`, fix: 'kai secret list', status: 404 });

const refused = (message: string, fix: string | null): KosError => new KosError({ code: 'secret_refused', message, fix, status: 403 });
