import { setTimeout as sleep } from 'node:timers/promises';
import { isFinalRunStatus } from '#schemas/run.ts';
import { type ExtraWorkers, startExtraWorkers } from '../rig/extra-workers.ts';
import type { Installation } from '../rig/installation.ts';
import { readLongFacts, workflowsWithoutEnd } from '../rig/long-facts.ts';
import { type LongLoad, startLongLoad } from '../rig/long-load.ts';
import { makePeople, type People } from '../rig/long-people.ts';
import { innerPlans, type LongPlan, longPlans } from '../rig/long-plans.ts';
import { judgeLines, judgeLong } from '../rig/long-verdict.ts';
import { queryPatiently } from '../rig/patient-query.ts';
import { createRandom, type Random } from '../rig/random.ts';
import { addVerdicts, noVerdict, type Verdict } from '../rig/verdict.ts';
import type { Outcome, Scenario, Stage } from './scenario.ts';

const runsPerMinute = 30;
const extraWorkers = 2;
const lines = 3;
const workerKillsEveryMs = { least: 1_000, most: 3_000 };
const serverKillsEveryMs = { least: 5_000, most: 20_000 };
const lookEveryMs = 1_000;
/** From the last kill on. */
const endTimeoutMs = 240_000;

/** All that plans can do, under kills that do not stop: then quiet, and everything has happened as if nothing had been. */
export const long: Scenario = { name: 'Long: workers and servers killed all the time', play };

interface Kills {
  worker: number;
  postgres: number;
  temporal: number;
}

async function play(stage: Stage): Promise<Outcome> {
  const { installation, sink } = stage;
  for (const source of [...innerPlans, ...longPlans.map((plan) => plan.source)])
    await installation.patiently((client) => client.plans.save({ source, format: 'yaml' }));
  const workers = await startExtraWorkers(installation, extraWorkers);
  try {
    const loads: LongLoad[] = [];
    const over = new AbortController();
    const people = makePeople(installation, sink);
    const [story] = await Promise.all([live(stage, workers, loads).finally(() => over.abort()), tendUntil(over.signal, people, loads)]);
    stage.say(`people have done: ${JSON.stringify(people.deeds())}`);
    const verdict = await judge(stage, loads, story.unfinished);
    const { worker, postgres, temporal } = story.kills;
    const note = `killed: ${worker} workers, Postgres ${postgres} times, Temporal ${temporal} times; all had ended ${Math.round(story.quietMs / 1_000)} s later`;
    return { name: long.name, kills: worker + postgres + temporal, verdict, recoveriesMs: [], note };
  } finally {
    await workers.stop();
  }
}

interface Story {
  kills: Kills;
  /** From the last kill to the end of the last run. */
  quietMs: number;
  unfinished: LongLoad[];
}

/** Each has numbers of its own: the same seed gives the same moments, whoever is quicker. */
const numbersFor = ({ random }: Stage): Random => createRandom(random.between(0, 2 ** 31));

async function live(stage: Stage, workers: ExtraWorkers, loads: LongLoad[]): Promise<Story> {
  const kills: Kills = { worker: 0, postgres: 0, temporal: 0 };
  const untilMs = performance.now() + stage.minutes * 60_000;
  const [ofRuns, ofWorkers, ofServers] = [numbersFor(stage), numbersFor(stage), numbersFor(stage)];
  await Promise.all([
    startRuns(stage, ofRuns, loads),
    strikeUntil(untilMs, ofWorkers, workerKillsEveryMs, () => killWorker(stage, ofWorkers, workers, kills)),
    strikeUntil(untilMs, ofServers, serverKillsEveryMs, () => killServer(stage, ofServers, kills)),
  ]);
  const since = performance.now();
  stage.say(`${loads.length} runs, killed ${JSON.stringify(kills)}, ${workers.ownDeaths()} workers ended by themselves; quiet from now on`);
  const unfinished = await untilEnded(stage, loads);
  return { kills, quietMs: performance.now() - since, unfinished };
}

/** Spread over the time of the kills. */
async function startRuns({ installation, sink, minutes, say }: Stage, random: Random, loads: LongLoad[]): Promise<void> {
  const count = Math.round(runsPerMinute * minutes);
  const since = performance.now();
  for (let index = 0; index < count; index += 1) {
    const plan = longPlans[index % longPlans.length];
    if (plan === undefined) throw new Error('There is no plan.');
    await sleep(Math.max(0, since + (index * minutes * 60_000) / count - performance.now()));
    const wish = { plan, tag: `${index}-${plan.kind}`, line: `line-${random.between(1, lines)}`, early: random.next() < 0.5 };
    loads.push(await startLongLoad(installation, sink, wish));
    if ((index + 1) % runsPerMinute === 0) say(`${index + 1} of ${count} runs started`);
  }
}

async function strikeUntil(untilMs: number, random: Random, every: { least: number; most: number }, strike: () => Promise<void>): Promise<void> {
  for (;;) {
    const pauseMs = random.between(every.least, every.most);
    await sleep(Math.min(pauseMs, Math.max(0, untilMs - performance.now())));
    if (performance.now() >= untilMs) return;
    await strike();
  }
}

/** One that runs: where the installation's own is just gone, it is one of the others. */
async function killWorker({ installation }: Stage, random: Random, workers: ExtraWorkers, kills: Kills): Promise<void> {
  const index = Math.floor(random.next() * (extraWorkers + 1));
  if (index === extraWorkers && (await installation.runs('worker'))) await installation.kill(['worker']);
  else if (!workers.kill(index % extraWorkers)) return;
  kills.worker += 1;
}

async function killServer({ installation }: Stage, random: Random, kills: Kills): Promise<void> {
  const part = random.next() < 0.5 ? 'postgres' : 'temporal';
  await installation.kill([part]);
  kills[part] += 1;
}

async function tendUntil(over: AbortSignal, people: People, loads: readonly LongLoad[]): Promise<void> {
  while (!over.aborted) {
    await people.tend(loads);
    await sleep(lookEveryMs);
  }
}

async function untilEnded({ installation }: Stage, loads: readonly LongLoad[]): Promise<LongLoad[]> {
  const ids = loads.map(({ runId }) => runId);
  for (const until = performance.now() + endTimeoutMs; ; await sleep(500)) {
    const rows = await queryPatiently<{ id: string; status: string }>(installation, (sql) => sql`select id, status from kos.runs where id in ${sql(ids)}`);
    const statuses = new Map(rows.map(({ id, status }) => [id, status]));
    const unfinished = loads.filter(({ runId, plan }) => !hasEnded(plan, statuses.get(runId) ?? 'gone'));
    if (unfinished.length === 0 || performance.now() > until) return unfinished;
  }
}

/** One that is to be retried goes on after its first end. */
const hasEnded = ({ person, status }: LongPlan, found: string): boolean => isFinalRunStatus(found) && (person !== 'retries' || found === status);

async function judge({ installation, sink }: Stage, loads: readonly LongLoad[], unfinished: readonly LongLoad[]): Promise<Verdict> {
  let verdict = noVerdict();
  const facts = await readLongFacts(installation, sink, loads);
  loads.forEach((load, index) => {
    const found = facts[index];
    if (found !== undefined) verdict = addVerdicts(verdict, judgeLong(load, found));
  });
  for (const { plan, runId } of unfinished) verdict.faults.push(`${plan.kind} ${runId} did not end: ${await reasonsOf(installation, runId)}`);
  const keyed = loads.flatMap(({ plan, line }, index) => (plan.kind === 'keyed' ? (facts[index]?.runs ?? []).map((run) => ({ line, run })) : []));
  verdict.faults.push(...judgeLines(keyed));
  for (const id of await workflowsWithoutEnd(installation)) verdict.faults.push(`the run ${id} has ended, and its workflow goes on`);
  for (const confused of sink.confusedKeys()) verdict.faults.push(`one idempotency key, two effects: ${confused}`);
  return verdict;
}

/** What kOS itself says of why it does not go on. */
async function reasonsOf(installation: Installation, runId: string): Promise<string> {
  const { reasons } = await installation.patiently((client) => client.runs.explain(runId));
  return reasons.map(({ blockedBy }) => blockedBy.text).join('; ');
}
