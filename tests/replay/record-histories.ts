/**
 * Writes tests/histories anew: `node tests/replay/record-histories.ts`. To be run for a release, so that the next one must still replay what this one made; between
 * releases only where a change to workflow code may break histories, because none of them was released. With names of stories, only those are written.
 */
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { environment, projectRoot } from '#config';
import { historiesOf } from '#tests/rig/replay.ts';
import { startTestServers } from '#tests/rig/servers.ts';
import { makeTestEngine } from '#tests/rig/test-engine.ts';
import { storeHistory } from './stored-histories.ts';
import { stories } from './stories.ts';

const folder = join(projectRoot, 'tests', 'histories');
const wanted = process.argv.slice(2);
const isWanted = (story: string): boolean => wanted.length === 0 || wanted.includes(story);
for (const name of await readdir(folder).catch(() => [])) if (isWanted(name.split('~')[0] ?? '')) await rm(join(folder, name));
const servers = await startTestServers(environment);
const engine = await makeTestEngine({ servers: servers.facts });
for (const { name, tell } of stories.filter((story) => isWanted(story.name))) {
  const runId = await tell(engine);
  let position = 0;
  for await (const stored of historiesOf(engine, [runId])) {
    await storeHistory(name, position, stored);
    position += 1;
  }
  console.info(`${name}: ${position} executions`);
}
await engine.close();
await servers.stop();
process.exit(0);
