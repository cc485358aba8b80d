import type { TestResult } from '#schemas/outgoing.ts';
import type { Principal } from '#core/policy/principal.ts';
import type { Database } from '#services/database/connect.ts';
import { newId } from '#services/ids.ts';
import { policyFor, type SendMeans } from '#services/outgoing/means.ts';
import { post } from '#services/outgoing/post.ts';
import { recordAudit } from '#services/records/record.ts';
import { signedPost } from './request.ts';
import { readWebhook } from './row.ts';

/** Sends one message of the type `webhook.test` now, disabled or not, and says what came of it. Throws KosError `webhook_not_found`. */
export async function testWebhook(means: SendMeans & { database: Database }, principal: Principal, id: string, signal: AbortSignal): Promise<TestResult> {
  const { workspaceId, principalId: actor } = principal;
  const webhook = await means.database.inWorkspace(workspaceId, ({ sql }) => readWebhook(sql, id));
  const at = new Date();
  const message = {
    id: newId('event'),
    body: JSON.stringify({ type: 'webhook.test', timestamp: at.toISOString(), workspaceId, data: { webhook: webhook.name } }),
  };
  const { attempt } = await post(signedPost(means.sealing, webhook, message, at), await policyFor(means, workspaceId), signal);
  const delivered = attempt.error === null;
  await means.database.inWorkspace(workspaceId, ({ sql }) =>
    recordAudit(sql, [{ workspaceId, actor, action: 'webhook.test', subject: id, data: { name: webhook.name, delivered } }]),
  );
  return { ...attempt, delivered };
}
