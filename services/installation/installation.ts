import type { NoteSigner } from '#core/audit/signed-note.ts';
import type { SystemDatabase } from '#services/database/connect.ts';
import type { SigningIdentity } from '#services/identity/signing-key.ts';
import { v7 } from 'uuid';
import { ensureOwner, type Owner } from './owner.ts';

/** Any fixed number does: "kOS is setting this installation up". */
const setupLock = 7_205_016_002;

export interface Installation {
  /** `kos-<uuid>`: this installation among all others. */
  name: string;
  owner: Owner;
  /** Signs checkpoints of the audit log under the log's own name. */
  signer: NoteSigner;
}

/** Makes at the first start, and finds at every later one, what an installation has once: its name, its first workspace, its owner. */
export async function openInstallation(system: SystemDatabase, identity: SigningIdentity): Promise<Installation> {
  return system.sql.begin(async (sql) => {
    await sql`select pg_advisory_xact_lock(${setupLock})`;
    // The name of the log must never change: it stands in every checkpoint.
    const fresh = `kos-${v7()}`;
    await sql`insert into kos.installation_settings (key, value) values ('log.origin', ${sql.json(fresh)}) on conflict (key) do nothing`;
    const [row] = await sql<{ origin: string }[]>`select value #>> '{}' as origin from kos.installation_settings where key = 'log.origin'`;
    const owner = await ensureOwner(sql, identity.publicKey);
    const name = row?.origin ?? fresh;
    return { name, owner, signer: { name, publicKey: identity.publicKey, sign: identity.sign } };
  });
}
