/** An API without routes: `/readyz` answers 200 when the database does. */
import { createServer } from 'node:http';
import { environment, readConfiguration } from '#config';
import { openPool } from '#services/database/connect.ts';
import { endWithSupervisor, readPartFacts } from '#services/embedded/part.ts';

const facts = await readPartFacts(readConfiguration(environment).partFacts);
const sql = openPool(facts.database.app, { max: 1, applicationName: 'tiny-api' });
const server = createServer((_request, response) => {
  sql`select 1`.then(
    () => response.writeHead(200).end('ready'),
    () => response.writeHead(503).end('the database does not answer'),
  );
});
server.listen(facts.port, facts.host);
endWithSupervisor(async () => {
  server.close();
  server.closeAllConnections();
  await sql.end({ timeout: 1 });
}, 1_000);
