import type { KosEvent, ModelDelta } from '#schemas/event.ts';
import type { Output } from '../output.ts';
import { describeEvent } from './event-line.ts';
import { createLiveText, renderLiveText } from './live-text.ts';
import { describeItems, renderTree } from './tree-view.ts';
import { splitPath, type StepTree } from './step-tree.ts';

/** How what happens to a run is shown while it is followed. */
export interface Progress {
  /** The tree has taken the event in. */
  event(event: KosEvent, tree: StepTree): void;
  /** A model call says something: shown where it can be taken back, for the step's output tells it once more. */
  delta(delta: ModelDelta): void;
  /** Something to be told besides: a lost connection, a decision that is awaited. */
  note(text: string): void;
  /** Leaves the terminal to somebody else, e.g. a prompt. */
  pause(): void;
  resume(): void;
  /** The last word; the terminal is left as a log would have it. */
  end(tree: StepTree): void;
}

/** Redraws per second are bounded, not events. */
const redrawMs = 100;
/** Of what a model says, the last lines. */
const liveRows = 6;

/** A tree that is redrawn in place, on standard error. */
export async function createLiveProgress(output: Output, title: string, tree: StepTree): Promise<Progress> {
  const { createLogUpdate } = await import('log-update');
  const draw = createLogUpdate(process.stderr);
  const started = Date.now();
  let paused = false;
  const live = createLiveText();
  const view = { colours: output.talkColours, columns: process.stderr.columns };
  const render = (rows: number): string => renderTree(tree, { ...view, title, rows: Math.max(3, rows), now: Date.now() });
  const redraw = (): void => {
    if (paused) return;
    const said = renderLiveText(live, { ...view, rows: liveRows });
    draw([render(process.stderr.rows - 5 - said.length), ...said, output.talkColours.dim(footer(started))].join('\n'));
  };
  // Durations go on while nothing happens, so the clock redraws, not the events.
  const timer = setInterval(redraw, redrawMs);
  redraw();
  return {
    event: live.event,
    delta: live.take,
    note: (text) => {
      if (paused) output.say(text);
      else draw.persist(output.talkColours.yellow(text));
    },
    pause: () => {
      paused = true;
      draw.clear();
      draw.done();
    },
    resume: () => {
      paused = false;
      redraw();
    },
    end: () => {
      clearInterval(timer);
      if (paused) return;
      draw(render(process.stderr.rows - 5));
      draw.done();
    },
  };
}

const footer = (startedMs: number): string => (Date.now() - startedMs < 3_000 ? '' : 'Ctrl-C leaves; the run goes on.');

/** Counts of a `forEach` are told this often at most. */
const countsEveryMs = 2_000;
/** Failed items are told one by one up to here; their count tells the rest. */
const failedItemsTold = 20;

/** A line per step and decision, a line now and then per `forEach`: for logs and pipes. */
export function createLineProgress(output: Output, write: (line: string) => void): Progress {
  const toldAt = new Map<string, number>();
  let failedItems = 0;
  /** Of each `forEach`, the counts that were written last. */
  const written = new Map<string, string>();
  const writeCounts = (at: string, path: string, counts: string): void => {
    if (written.get(path) === counts) return;
    written.set(path, counts);
    write(`${at} ${path}: ${counts}`);
  };
  return {
    event: (event, tree) => {
      const round = roundOf(event);
      if (round !== null && quiet.has(event.type)) {
        const now = Date.now();
        if (now - (toldAt.get(round.path) ?? now) >= countsEveryMs) write(`${clock(event)} ${round.path}: round ${(round.round + 1).toLocaleString('en-US')}`);
        if (now - (toldAt.get(round.path) ?? 0) >= countsEveryMs) toldAt.set(round.path, now);
        return;
      }
      const item = itemOf(event);
      if (item === null) {
        const counts = finalCounts(event, tree);
        if (counts !== null) writeCounts(clock(event), counts.path, counts.text);
        write(describeEvent(event, output.talkColours));
        return;
      }
      if (event.type === 'step.failed' && ++failedItems <= failedItemsTold) write(describeEvent(event, output.talkColours));
      const now = Date.now();
      const items = tree.steps.get(item)?.items;
      if (items !== undefined && items !== null && now - (toldAt.get(item) ?? 0) >= countsEveryMs) {
        // The first line comes after the first pause: "0 done" says nothing.
        if (toldAt.has(item)) writeCounts(clock(event), item, describeItems(items));
        toldAt.set(item, now);
      }
    },
    delta: () => undefined,
    note: (text) => output.say(text),
    pause: () => undefined,
    resume: () => undefined,
    end: () => undefined,
  };
}

/** Before the end of a `forEach`, its final counts. */
function finalCounts(event: KosEvent, tree: StepTree): { path: string; text: string } | null {
  const path = event.data['stepPath'];
  if (typeof path !== 'string' || (event.type !== 'step.succeeded' && event.type !== 'step.failed')) return null;
  const line = tree.steps.get(path);
  if (line === undefined || line.items === null) return null;
  return { path, text: [describeItems(line.items), ...line.labels].join(', ') };
}

const clock = (event: KosEvent): string => event.at.slice(11, 19);

/** Of a round only what is out of the ordinary is a line of its own. */
const quiet: ReadonlySet<string> = new Set(['step.started', 'step.succeeded']);

function roundOf(event: KosEvent): { path: string; round: number } | null {
  const stepPath = event.data['stepPath'];
  if (typeof stepPath !== 'string') return null;
  const { path, item, round } = splitPath(stepPath);
  return round === null || item !== null ? null : { path, round };
}

function itemOf(event: KosEvent): string | null {
  const path = event.data['stepPath'];
  if (typeof path !== 'string') return null;
  const split = splitPath(path);
  return split.item === null ? null : split.path;
}

/** Events as they come, one JSON value a line. */
export function createJsonProgress(output: Output): Progress {
  return {
    event: (event) => output.jsonLine(event),
    delta: () => undefined,
    note: (text) => output.say(text),
    pause: () => undefined,
    resume: () => undefined,
    end: () => undefined,
  };
}
