import type { ByHand } from './by-hand.ts';
import { type Controlled, newerControl } from './control.ts';

/** What the workflow finds when it looks at the run's row. Fields that earlier releases did not read may be missing. */
export interface ControlReading {
  cancelRequested: boolean;
  version?: number;
  paused?: boolean;
  priority?: number;
  byHand?: readonly ByHand[];
}

/** What was read of the run's row. News let the run tell again that it waits: a pause and its end, of which only the end is heard, have changed its row. */
export function withReading<State extends Controlled>(state: State, reading: ControlReading): State {
  const { version = 0, paused = false, priority } = reading;
  const control = newerControl(state.control, { version, paused, ...(priority === undefined ? {} : { priority }) });
  const knownWaiting = control === state.control && state.knownWaiting;
  return { ...state, control, knownWaiting, ending: reading.cancelRequested ? 'cancelled' : state.ending };
}
