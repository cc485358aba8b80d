import type { Json } from '#schemas/json.ts';
import { usageFault } from '../faults.ts';
import { parseJsonText, readTextFile } from '../input-files.ts';
import type { Invocation } from '../invocation.ts';
import { type ListOptions, showPage } from '../lists.ts';
import { resolveRunId } from '../short-ids.ts';
import { describeInstant } from '../times.ts';
import { newIdempotencyKey } from '../transport.ts';

export interface SignalOptions {
  payload?: string;
  payloadFile?: string;
  idempotencyKey?: string;
}

/** `run signal`: without a payload it is null. */
export async function sendSignal(invocation: Invocation, given: string, name: string, options: SignalOptions): Promise<void> {
  const { client, output } = invocation;
  const payload = await readPayload(invocation, options);
  const runId = await resolveRunId(client, given);
  const signal = await client.runs.signal(runId, { name, payload }, options.idempotencyKey ?? newIdempotencyKey());
  if (output.json) output.document(signal);
  else if (signal.stepPath === null) output.say(`${runId} keeps the signal ${name} until a step waits for it.`);
  else output.say(`${signal.stepPath} of ${runId} took the signal ${name}.`);
}

export async function readPayload({ output }: Invocation, { payload, payloadFile }: Omit<SignalOptions, 'idempotencyKey'>): Promise<Json> {
  if (payload !== undefined && payloadFile !== undefined) throw usageFault('--payload and --payload-file exclude each other.');
  if (payloadFile !== undefined) return parseJsonText(await readTextFile(payloadFile, output), payloadFile === '-' ? 'standard input' : payloadFile) as Json;
  return payload === undefined ? null : (parseJsonText(payload, '--payload') as Json);
}

/** `run signals`: what was sent, and who took it. */
export async function listSignals(invocation: Invocation, given: string, options: ListOptions): Promise<void> {
  const { client } = invocation;
  const runId = await resolveRunId(client, given);
  const now = Date.now();
  showPage(invocation, await client.runs.signals(runId, { ...options }), {
    headings: ['ID', 'NAME', 'RECEIVED', 'TAKEN BY', 'PAYLOAD'],
    row: (item) => [item.id, item.name, describeInstant(item.receivedAt, now), item.stepPath ?? '', JSON.stringify(item.payload)],
    empty: `No signal was sent to ${runId}.`,
  });
}
