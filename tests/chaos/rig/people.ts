import { setTimeout as sleep } from 'node:timers/promises';
import type { Installation } from './installation.ts';

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
export async function approve(installation: Installation, approvalId: string): Promise<void> {
  await installation.patiently(async (client) => {
    const approval = await client.approvals.get(approvalId);
    if (approval.status === 'open') await client.approvals.decide(approvalId, { decision: 'approve', argumentsDigest: approval.argumentsDigest });
  });
}
