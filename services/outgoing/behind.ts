import { lostRight } from '#core/policy/delegated.ts';
import type { InstallationRole } from '#core/policy/permissions.ts';
import type { SystemDatabase, TransactionSql } from '#services/database/connect.ts';
import { enableReceiver, type ReceiverKind, receiverTables } from './receivers.ts';

const receiversAtOnce = 100;

/** A receiver whose cursor is behind the numbering, for the length of a transaction. */
export interface Behind<Definition> {
  id: string;
  workspaceId: string;
  definition: Definition;
  /** Numbers after the first one, up to the last one, are news to it. */
  seenSeq: number;
  lastSeq: number;
}

interface BehindRow<Definition> extends Behind<Definition> {
  granted: string[];
  roles: string[] | null;
  installationRole: InstallationRole | null;
  /** Its creator, as people call them. */
  person: string;
}

/**
 * Tells each receiver of one kind that is behind of some of its news: `tell` answers up to which number it has come. Cursor and deliveries move in one
 * transaction, along the sequencer's numbers: whoever is killed in between loses nothing and tells nothing twice. Several processes may do so. True: there may be more.
 */
export async function tellThoseBehind<Definition>(
  { sql: system }: SystemDatabase,
  kind: ReceiverKind,
  tell: (sql: TransactionSql, receiver: Behind<Definition>) => Promise<number>,
): Promise<boolean> {
  const behind = await system<{ id: string }[]>`
    select id from kos.${system(receiverTables[kind])} where enabled and seen_seq < (select last_event_seq from kos.sequencer where id = 1)
    order by seen_seq limit ${receiversAtOnce}`;
  let more = behind.length === receiversAtOnce;
  for (const { id } of behind) {
    const isBehindStill = await system.begin(async (sql) => {
      const receiver = await lockBehind<Definition>(sql, kind, id);
      if (receiver === null) return false;
      const seenSeq = await tell(sql, receiver);
      await sql`update kos.${sql(receiverTables[kind])} set seen_seq = ${seenSeq} where id = ${id}`;
      return seenSeq < receiver.lastSeq;
    });
    if (isBehindStill) more = true;
  }
  return more;
}

/** Null: somebody else has it, or whoever it acts for may read runs no longer; then it is disabled. */
async function lockBehind<Definition>(sql: TransactionSql, kind: ReceiverKind, id: string): Promise<Behind<Definition> | null> {
  const [row] = await sql<BehindRow<Definition>[]>`
    select r.id, r.workspace_id as "workspaceId", r.definition, r.seen_seq as "seenSeq", r.granted, m.roles, p.installation_role as "installationRole",
      coalesce((select name from kos.principals where id = r.created_by), r.created_by) as person, (select last_event_seq from kos.sequencer where id = 1) as "lastSeq"
    from kos.${sql(receiverTables[kind])} r
      left join kos.principals p on p.id = r.created_by and p.disabled_at is null
      left join kos.memberships m on m.workspace_id = r.workspace_id and m.principal_id = p.id and not m.disabled
    where r.id = ${id} and r.enabled for update of r skip locked`;
  if (row === undefined) return null;
  const lost = lostRight(row.granted, row.roles === null ? null : { roles: row.roles, installationRole: row.installationRole }, 'runs:read', row.person);
  if (lost === null) return row;
  await enableReceiver({ sql }, { kind, workspaceId: row.workspaceId, actor: 'kos', id, enabled: false, note: lost });
  return null;
}
