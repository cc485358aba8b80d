import { formOf } from '#core/channel/forms.ts';
import { testMessage } from '#core/channel/message.ts';
import type { Principal } from '#core/policy/principal.ts';
import type { TestResult } from '#schemas/outgoing.ts';
import { readChannel } from '#services/channels/row.ts';
import type { Database, Transaction } from '#services/database/connect.ts';
import { newId } from '#services/ids.ts';
import { recordAudit } from '#services/records/record.ts';
import { policyFor, type SendMeans } from './means.ts';
import { post } from './post.ts';
import { receiverKindOf, receiverNotFound } from './receivers.ts';
import { findTarget, type Target } from './target.ts';

export interface TestMeans extends SendMeans {
  database: Database;
  publicUrl: string;
}

/** Sends one message now, disabled or not, and says what came of it. Throws KosError `webhook_not_found`, `channel_not_found`. */
export async function testReceiver(means: TestMeans, principal: Principal, id: string, signal: AbortSignal): Promise<TestResult> {
  const { workspaceId, principalId: actor } = principal;
  const at = new Date();
  const { target, body } = await means.database.inWorkspace(workspaceId, async (transaction) => {
    const found = await findTarget(transaction.sql, id);
    if (found === null) throw receiverNotFound(receiverKindOf(id), id);
    return { target: found, body: await testBody(means, transaction, workspaceId, found, at) };
  });
  const { attempt } = await post(target.post(means.sealing, { id: newId('event'), body }, at), await policyFor(means, workspaceId), signal);
  const delivered = attempt.error === null;
  await means.database.inWorkspace(workspaceId, ({ sql }) =>
    recordAudit(sql, [{ workspaceId, actor, action: `${target.kind}.test`, subject: id, data: { name: target.name, delivered } }]),
  );
  return { ...attempt, delivered };
}

async function testBody({ publicUrl }: TestMeans, transaction: Transaction, workspaceId: string, { kind, id, name }: Target, at: Date): Promise<string> {
  switch (kind) {
    case 'webhook':
      return JSON.stringify({ type: 'webhook.test', timestamp: at.toISOString(), workspaceId, data: { webhook: name } });
    case 'channel':
      return JSON.stringify(formOf((await readChannel(transaction, id)).shown.kind, testMessage(name, publicUrl)));
  }
}
