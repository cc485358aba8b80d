import { setTimeout as sleep } from 'node:timers/promises';
import { KosError } from '#core/errors.ts';
import type { Installation } from './installation.ts';
import type { Load } from './load.ts';
import type { Sink } from './sink.ts';

const askedWithinMs = 60_000;

/** The id of the approval that the run waits for. */
export async function untilAsked(installation: Installation, runId: string): Promise<string> {
  for (const until = performance.now() + askedWithinMs; performance.now() < until; await sleep(50)) {
    const page = await installation.patiently((client) => client.approvals.list({ status: 'open', limit: 200 }));
    const found = page.items.find((approval) => approval.runId === runId);
    if (found !== undefined) return found.id;
  }
  throw new Error(`${runId} asked for no approval within ${askedWithinMs} ms.`);
}

/** Decides, unless an earlier try of the same decision was heard though its answer was lost. */
export async function decide(installation: Installation, approvalId: string, decision: 'approve' | 'deny'): Promise<void> {
  await installation.patiently(async (client) => {
    const approval = await client.approvals.get(approvalId);
    if (approval.status === 'open') await client.approvals.decide(approvalId, { decision, argumentsDigest: approval.argumentsDigest });
  });
}

export const approve = (installation: Installation, approvalId: string): Promise<void> => decide(installation, approvalId, 'approve');

/** What a dead worker has sent arrives within this time, or not at all. */
const arrivedWithinMs = 1_000;

/** For every uncertain effect of the run: happened, if the sink has seen it, and otherwise did not. */
export async function resolveUncertain(installation: Installation, sink: Sink, { kind, runId }: Load): Promise<void> {
  await sleep(arrivedWithinMs);
  const rows = await installation.query<{ path: string; item: number }>(
    (sql) => sql`select path, item from kos.steps where run_id = ${runId} and status = 'uncertain' and item is not null`,
  );
  for (const { path, item } of rows) {
    const sent = `/${kind}/${runId}/${item}`;
    const seen = sink.calls(sent).has(sent);
    const reason = `the sink has ${seen ? '' : 'not '}seen it`;
    const said = seen ? { outcome: 'happened', output: sentOutput(`${sink.url}${sent}`) } : { outcome: 'did_not' };
    await installation
      .patiently((client) => client.runs.actOnStep(runId, 'resolve', { path, reason, ...said }))
      .catch((error: unknown) => {
        // Said before: the answer was lost.
        if (!(error instanceof KosError) || error.code !== 'step_not_uncertain') throw error;
      });
  }
}

/** What `http.send` would have put out. */
export const sentOutput = (url: string) => ({
  status: 200,
  url,
  redirects: 0,
  headers: {},
  json: { ok: true },
  text: null,
  base64: null,
  bytes: 11,
  truncated: false,
});
