import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { KosError } from '#core/errors.ts';
import { failuresForgottenAfterMs, signInDelayMs } from '#core/policy/sign-in-delay.ts';
import type { SystemDatabase } from '#services/database/connect.ts';
import { passwordMatches } from './passwords.ts';
import { type OpenedSession, openSession } from './sessions.ts';

/** Waits; tests pass one that does not. */
export type Pause = (durationMs: number) => Promise<void>;
const realPause: Pause = async (durationMs) => {
  await sleep(durationMs);
};

/**
 * Who this is, by login and password. Each failure makes the account's next attempts slower, in parallel ones too, for the count is raised before the
 * password is looked at. Throws KosError `sign_in_refused` (401), the same for an unknown login, a wrong password and a disabled person.
 */
export async function checkPassword(system: SystemDatabase, attempt: { login: string; password: string }, pause: Pause = realPause): Promise<string> {
  const account = createHash('sha256').update(attempt.login).digest('hex');
  const before = await countAttempt(system, account);
  await pause(signInDelayMs(before));
  const [row] = await system.sql<{ id: string; hash: string }[]>`
    select p.id, w.hash from kos.principals p join kos.passwords w on w.principal_id = p.id
    where p.login = ${attempt.login} and p.kind = 'user' and p.disabled_at is null`;
  const matches = await passwordMatches(attempt.password, row?.hash ?? null);
  if (!matches || row === undefined) throw signInRefused();
  await system.sql`delete from kos.sign_in_failures where account = ${account}`;
  return row.id;
}

/** After checkPassword. */
export const signInByPassword = ({ sql: system }: SystemDatabase, person: { principalId: string; userAgent: string | undefined }): Promise<OpenedSession> =>
  system.begin((sql) => openSession(sql, { ...person, method: 'password' }));

/** Counted as failed until it succeeds. Returns the failures in a row before this one. */
async function countAttempt({ sql }: SystemDatabase, account: string): Promise<number> {
  const [row] = await sql<{ failures: number }[]>`
    insert into kos.sign_in_failures as f (account, failures, last_failed_at) values (${account}, 1, clock_timestamp())
    on conflict (account) do update set last_failed_at = clock_timestamp(),
      failures = case when f.last_failed_at < clock_timestamp() - make_interval(secs => ${failuresForgottenAfterMs / 1_000}) then 1 else f.failures + 1 end
    returning failures`;
  return (row?.failures ?? 1) - 1;
}

export const signInRefused = (): KosError =>
  new KosError({
    code: 'sign_in_refused',
    message: 'That login and password do not go together.',
    fix: 'Try again, or ask the owner of this installation for a link to set a new password (kai member reset).',
    status: 401,
  });
