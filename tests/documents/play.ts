import { setTimeout as sleep } from 'node:timers/promises';
import { validateJson } from '#core/plan/json-schema.ts';
import type { Principal } from '#core/policy/principal.ts';
import { isFinalRunStatus, type Run } from '#schemas/run.ts';
import { decideApproval } from '#services/approvals/decide.ts';
import { readApproval } from '#services/approvals/read.ts';
import { sendSignal } from '#services/signals/send.ts';
import { approverOf } from '#tests/rig/approver.ts';
import type { TestEngine } from '#tests/rig/test-engine.ts';
import type { PageRun } from './page.ts';

/** Saves plans that may run each other, whatever their order. */
export async function saveAll(engine: TestEngine, sources: readonly string[]): Promise<void> {
  const failed: { source: string; error: unknown }[] = [];
  for (const source of sources) {
    await engine.save(source).catch((error: unknown) => failed.push({ source, error }));
  }
  const [first] = failed;
  if (first === undefined) return;
  if (failed.length === sources.length) throw first.error;
  await saveAll(
    engine,
    failed.map(({ source }) => source),
  );
}

export type Play = Pick<PageRun, 'run' | 'input' | 'signals' | 'decide'>;

/** Starts a run and does what people and the outside do for it, to its end. */
export async function play(engine: TestEngine, { run, input, signals, decide }: Play): Promise<Run> {
  const runId = await engine.start(run, input);
  for (const signal of signals) {
    const sending = { database: engine.rig.database, validateJson: async (...[schema, value]: Parameters<typeof validateJson>) => validateJson(schema, value) };
    await sendSignal(sending, { workspaceId: engine.workspaceId, actor: 'prn_sender', runId, signal });
    engine.nudge();
  }
  const people = new DecidingPeople(engine, decide);
  for (;;) {
    const current = await engine.read(runId);
    if (isFinalRunStatus(current.status)) return current;
    await people.decideAll(runId);
    await sleep(30);
  }
}

interface OpenApproval {
  id: string;
  path: string;
}

/** As many people as an approval wants, each once. */
class DecidingPeople {
  private readonly engine: TestEngine;
  private readonly wanted: Play['decide'];
  private readonly taken = new Map<string, number>();

  constructor(engine: TestEngine, wanted: Play['decide']) {
    this.engine = engine;
    this.wanted = wanted;
  }

  async decideAll(runId: string): Promise<void> {
    for (const approval of await this.open(runId)) await this.decide(approval);
  }

  private async open(runId: string): Promise<OpenApproval[]> {
    return await this.engine.rig.system.sql<OpenApproval[]>`
      select a.id, concat_ws('/', r.called_from, a.step_path) as path from kos.approvals a join kos.runs r on r.id = a.run_id
      where a.status = 'open' and (r.id = ${runId} or r.root_run_id = ${runId})`;
  }

  private async decide({ id, path }: OpenApproval): Promise<void> {
    const already = this.taken.get(id) ?? 0;
    this.taken.set(id, already + 1);
    const wanted = this.wanted[path];
    const decision = (Array.isArray(wanted) ? wanted[already] : wanted) ?? 'approve';
    await this.engine.rig.database.inWorkspace(this.engine.workspaceId, async (transaction) => {
      const { argumentsDigest } = await readApproval(transaction, id);
      await decideApproval(transaction, personOf(this.engine.workspaceId, already), id, { decision, argumentsDigest });
    });
    this.engine.nudge();
  }
}

function personOf(workspaceId: string, number: number): Principal {
  const id = `prn_approver_${number}`;
  return { ...approverOf(workspaceId), principalId: id, name: id, responsible: id };
}
