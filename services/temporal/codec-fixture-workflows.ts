import {
  ActivityFailure,
  ApplicationFailure,
  ChildWorkflowFailure,
  condition,
  continueAsNew,
  defineQuery,
  defineSignal,
  executeChild,
  getExternalWorkflowHandle,
  proxyActivities,
  setHandler,
  workflowInfo,
} from '@temporalio/workflow';
import { isPayloadRefused } from '#core/engine/payload-refused.ts';
import type { CodecActivities } from './codec-fixture-activities.ts';

/** Workflows that send a text through every place where Temporal keeps a payload; used by the codec's integration test alone. */
export const saySignal = defineSignal<[unknown]>('say');
export const heardQuery = defineQuery<string[], [unknown]>('heard');

export interface TourInput {
  generation: number;
  secret: string;
  heard: string[];
}

const activities = proxyActivities<CodecActivities>({ startToCloseTimeout: '10 s', retry: { initialInterval: '10 ms', maximumAttempts: 2 } });

const told = (value: unknown): string => (isPayloadRefused(value) ? `refused: ${value.reason}` : String(value));

export async function codecTour(input: TourInput): Promise<string[]> {
  if (isPayloadRefused(input)) throw ApplicationFailure.nonRetryable(`The input was refused: ${input.reason}`, 'payload_refused');
  const heard = [...input.heard];
  setHandler(saySignal, (value) => void heard.push(`signal ${told(value)}`));
  setHandler(heardQuery, (asked) => [...heard, `asked ${told(asked)}`]);
  if (input.generation === 1) {
    heard.push(...(await visitActivities(input.secret)), ...(await visitChildren(input.secret)));
    await condition(() => heard.some((line) => line.startsWith('signal child')));
    return continueAsNew<typeof codecTour>({ ...input, generation: 2, heard });
  }
  await condition(() => heard.includes('signal end'));
  return heard;
}

async function visitActivities(secret: string): Promise<string[]> {
  const echoed = await activities.echo(secret);
  const beaten = await activities.beatThenRetry(secret);
  const failure = await activities.fail(secret).catch((error: unknown) => error);
  const cause = failure instanceof ActivityFailure && failure.cause instanceof ApplicationFailure ? failure.cause : null;
  return [`activity ${echoed}`, `heartbeat ${beaten}`, `failure ${cause?.message} ${String(cause?.details?.[0])}`];
}

async function visitChildren(secret: string): Promise<string[]> {
  const { workflowId } = workflowInfo();
  const returned = await executeChild(codecChild, { workflowId: `${workflowId}-child`, args: [{ parent: workflowId, secret, fails: false }] });
  const failure = await executeChild(codecChild, { workflowId: `${workflowId}-failing`, args: [{ parent: workflowId, secret, fails: true }] }).catch(
    (error: unknown) => error,
  );
  const cause = failure instanceof ChildWorkflowFailure ? failure.cause : undefined;
  return [`child ${returned}`, `child failure ${cause?.message}`];
}

export async function codecChild(input: { parent: string; secret: string; fails: boolean }): Promise<string> {
  if (input.fails) throw ApplicationFailure.nonRetryable(`failed with ${input.secret}`);
  await getExternalWorkflowHandle(input.parent).signal(saySignal, `child ${input.secret}`);
  return input.secret;
}

/** Calls an activity on a worker that seals nothing, and says what came back. */
export async function askUnsealedWorker(taskQueue: string): Promise<string> {
  const unsealed = proxyActivities<{ answer(): Promise<unknown> }>({ taskQueue, startToCloseTimeout: '10 s', retry: { maximumAttempts: 1 } });
  return told(await unsealed.answer());
}

/** Run by a worker that seals nothing: its activity's input must be refused by the worker that listens on `taskQueue`. */
export async function sendUnsealedInput(taskQueue: string): Promise<string> {
  const sealed = proxyActivities<CodecActivities>({ taskQueue, startToCloseTimeout: '10 s' });
  const failure = await sealed.refusedEcho('plain').catch((error: unknown) => error);
  return failure instanceof ActivityFailure && failure.cause instanceof ApplicationFailure ? `${failure.cause.type}` : 'not refused';
}
