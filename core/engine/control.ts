import type { ByHand } from './by-hand.ts';

/** What people decided of an open run, as its rows have it. Of two readings the one with the higher version is today's, whichever is heard last. */
export interface Control {
  version: number;
  paused: boolean;
}

export const noControl: Control = { version: 0, paused: false };

/** What the workflow finds when it looks at the run's row. Fields that earlier releases did not read may be missing. */
export interface ControlReading {
  cancelRequested: boolean;
  version?: number;
  paused?: boolean;
  byHand?: readonly ByHand[];
}

export const newerControl = (known: Control, read: Control): Control => (read.version > known.version ? read : known);

/** The part of a run's state that people reach. */
interface Controlled {
  control: Control;
  knownWaiting: boolean;
  ending: string | null;
}

/** What was read of the run's row. News let the run tell again that it waits: a pause and its end, of which only the end is heard, have changed its row. */
export function withReading<State extends Controlled>(state: State, reading: ControlReading): State {
  const control = newerControl(state.control, { version: reading.version ?? 0, paused: reading.paused === true });
  const knownWaiting = control === state.control && state.knownWaiting;
  return { ...state, control, knownWaiting, ending: reading.cancelRequested ? 'cancelled' : state.ending };
}

/** Work that was not begun, since the run is paused: it learnt that from the row before the Signal came. */
export const withHeld = <State extends Controlled>(state: State, version: number): State => ({
  ...state,
  control: newerControl(state.control, { version, paused: true }),
});
