/** A worker without work: it holds a connection to the database, so that a test sees it come and go. */
import { environment, readConfiguration } from '#config';
import { openPool } from '#services/database/connect.ts';
import { endWithSupervisor, readPartFacts } from '#services/embedded/part.ts';

const facts = await readPartFacts(readConfiguration(environment).partFacts);
const sql = openPool(facts.database.system, { max: 1, applicationName: 'tiny-worker' });
await sql`select 1`;
console.log('The tiny worker runs');
const beat = setInterval(() => undefined, 60_000);
endWithSupervisor(async () => {
  clearInterval(beat);
  await sql.end({ timeout: 1 });
}, 2_000);
