import { type Command, InvalidArgumentError } from 'commander';
import { type EventTopic, eventTopics } from '#schemas/event.ts';
import { followEvents } from '../event-stream.ts';
import type { Invocation } from '../invocation.ts';
import { describeEvent } from '../run/event-line.ts';
import { resolveRunId } from '../short-ids.ts';

interface EventsOptions {
  topic?: EventTopic[];
  run?: string;
  after?: string;
}

/** How long nothing may come before the stream says so; nothing is done about it here. */
const idleMs = 60_000;

export function defineEvents(events: Command, invocation: Invocation): void {
  events
    .option('--topic <topic>', `only events about ${eventTopics.join(', ')} (repeat for several)`, collectTopic)
    .option('--run <run>', 'only events of this run, from its first one on')
    .option('--after <position>', 'go on after this position, as `kai events --json` shows it; default: what comes from now on')
    .addHelpText('after', '\nFollows until you stop it (Ctrl-C). Example: kai events --topic approval --topic run')
    .action(async (options: EventsOptions) => {
      await follow(invocation, options);
    });
}

function collectTopic(given: string, previous: EventTopic[] | undefined): EventTopic[] {
  const topic = eventTopics.find((one) => one === given);
  if (topic === undefined) throw new InvalidArgumentError(`It is one of ${eventTopics.join(', ')}.`);
  return [...(previous ?? []), topic];
}

async function follow({ client, output, interruption }: Invocation, { topic, run, after }: EventsOptions): Promise<void> {
  const query = { topic: topic?.join(','), run: run === undefined ? undefined : await resolveRunId(client, run), after };
  for await (const item of followEvents(client.transport, { path: '/v1/events', query, signal: interruption.take(), idleMs })) {
    if (item.kind === 'reset') output.say('The position is not known any more: what follows starts over.');
    if (item.kind === 'lost') output.say(`The connection was lost; going on as soon as it is back: ${item.error.message}`);
    if (item.kind !== 'event') continue;
    if (output.json) output.jsonLine(item.event);
    else output.data(`${describeEvent(item.event, output.dataColours)}${item.event.runId === null ? '' : output.dataColours.dim(`  ${item.event.runId}`)}`);
  }
}
