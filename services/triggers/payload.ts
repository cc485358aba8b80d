import type { Json, JsonObject } from '#schemas/json.ts';
import type { WebhookScheme } from '#schemas/trigger.ts';

/** A body by what its type says and its text is: JSON, a form (with JSON under `payload` opened, as GitHub and Slack send it), else the text itself. */
export function readPayload(type: string, text: string): Json {
  if (type === 'application/x-www-form-urlencoded') {
    const { payload, ...rest } = Object.fromEntries(new URLSearchParams(text));
    return payload === undefined ? rest : { ...rest, payload: parsed(payload) };
  }
  return text === '' ? null : parsed(text);
}

function parsed(text: string): Json {
  try {
    return JSON.parse(text) as Json;
  } catch (error) {
    if (error instanceof SyntaxError) return text;
    throw error;
  }
}

const isObject = (body: Json): body is JsonObject => typeof body === 'object' && body !== null && !Array.isArray(body);

/** What a scheme has in its body by which equal deliveries are known; null: nothing. */
export function keyInBody(scheme: WebhookScheme, body: Json): string | null {
  const field = scheme === 'stripe' ? 'id' : scheme === 'slack' ? 'event_id' : null;
  const value = field === null || !isObject(body) ? null : body[field];
  return typeof value === 'string' && value !== '' ? value : null;
}

/** Senders that first ask whether somebody is there. `challenge`: what Slack wants to have back. Null: an ordinary delivery. */
export function greeting(scheme: WebhookScheme, headers: Record<string, string>, body: Json): { challenge: string | null } | null {
  if (scheme === 'github' && headers['x-github-event'] === 'ping') return { challenge: null };
  if (scheme === 'slack' && isObject(body) && body['type'] === 'url_verification' && typeof body['challenge'] === 'string')
    return { challenge: body['challenge'] };
  return null;
}
