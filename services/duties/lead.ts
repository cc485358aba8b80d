import { randomUUID } from 'node:crypto';
import type { SystemDatabase } from '#services/database/connect.ts';

/** Whether this process is, now, the one of several that does a duty. Asked again it stays the one. */
export type Lead = () => Promise<boolean>;

/** One that was not heard of for so long has died, and another takes its place. */
const heldSeconds = 30;

/** For duties that would be harmless in several processes, and a waste. */
export function leadOf({ sql }: SystemDatabase, duty: string): Lead {
  const holder = randomUUID();
  return async () => {
    const [held] = await sql`
      insert into kos.installation_settings (key, value, updated_at) values (${`lead of ${duty}`}, ${sql.json(holder)}, clock_timestamp())
      on conflict (key) do update set value = excluded.value, updated_at = excluded.updated_at
        where installation_settings.value = excluded.value or installation_settings.updated_at < clock_timestamp() - make_interval(secs => ${heldSeconds})
      returning key`;
    return held !== undefined;
  };
}
