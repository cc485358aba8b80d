/** What people decided of an open run, as its rows have it. Of two readings the one with the higher version is today's, whichever is heard last. */
export interface Control {
  version: number;
  paused: boolean;
  /** 1 is served first, 5 last. Absent: that of the execution's start. */
  priority?: number;
}

export const noControl: Control = { version: 0, paused: false };

export const newerControl = (known: Control, read: Control): Control => (read.version > known.version ? read : known);

/** As of this version the run is paused. */
export const heldControl = (known: Control, version: number): Control => newerControl(known, { ...known, version, paused: true });

/** The part of a run's state that people reach. */
export interface Controlled {
  control: Control;
  knownWaiting: boolean;
  ending: string | null;
}

/** Work that was not begun, since the run is paused: it learnt that from the row before the Signal came. */
export const withHeld = <State extends Controlled>(state: State, version: number): State => ({
  ...state,
  control: heldControl(state.control, version),
});
