import type { Api } from '../rig/api.ts';
import type { Driver } from '../rig/driver.ts';
import type { Stack } from '../rig/stack.ts';
import { median, quantile } from '../rig/statistics.ts';

/** One line of the table. */
export interface Line {
  what: string;
  ours: string;
  /** The floor it stands beside, measured in the same run, or the reference it is held against. */
  floor: string;
  reach: string;
  /** Null: stated, not judged. */
  met: boolean | null;
}

export interface FigureResult {
  lines: Line[];
  /** Plain JSON: everything that was measured. */
  details: Record<string, unknown>;
}

export interface BenchContext {
  stack: Stack;
  driver: Driver;
  /** Fewer repetitions: for trying things, not for the record. */
  quick: boolean;
  say: (line: string) => void;
}

export interface Figure {
  name: string;
  /** What bounds the figure, for people. */
  bound: string;
  measure(context: BenchContext): Promise<FigureResult>;
}

/** A figure that brings up an installation of its own by `npm start`. */
export interface InstallationFigure extends Omit<Figure, 'measure'> {
  measureInstallation(context: Pick<BenchContext, 'quick' | 'say'>): Promise<FigureResult>;
}

/** A figure of the HTTP API of an installation that `npm start` brought up for all of them. */
export interface ApiFigure extends Omit<Figure, 'measure'> {
  measureApi(context: Pick<BenchContext, 'quick' | 'say'> & { api: Api }): Promise<FigureResult>;
}

/** At which requests come where the API is measured. */
export const perSecond = 50;

/** What became of one figure. */
export interface Measured extends FigureResult {
  figure: Pick<Figure, 'name' | 'bound'>;
}

export const inMs = (milliseconds: number): string => `${milliseconds.toFixed(milliseconds < 10 ? 2 : 0)} ms`;
export const inP95 = (spans: readonly number[]): string => `${inMs(quantile(spans, 0.95))} (median ${inMs(median(spans))})`;
export const inRatio = (ratio: number): string => `${ratio.toFixed(2)} ×`;
export const inMegabytes = (bytes: number): string => `${(bytes / 1_000_000).toFixed(0)} MB`;
