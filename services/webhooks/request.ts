import { Webhook } from 'standardwebhooks';
import type { OutgoingMessage, Post } from '#services/outgoing/post.ts';
import type { Sealing } from '#services/sealing/sealing.ts';
import { signingSecrets, type WebhookRow } from './row.ts';

/** A delivery as Standard Webhooks has it, signed with every secret that is live at `at`. */
export function signedPost(sealing: Sealing, webhook: WebhookRow, message: OutgoingMessage, at: Date): Post {
  const { id, body } = message;
  return {
    url: webhook.definition.url,
    body,
    headers: {
      'content-type': 'application/json',
      'webhook-id': id,
      'webhook-timestamp': String(Math.floor(at.getTime() / 1_000)),
      'webhook-signature': signingSecrets(sealing, webhook)
        .map((secret) => new Webhook(secret).sign(id, at, body))
        .join(' '),
    },
  };
}
