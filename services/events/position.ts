/** Where a reader stands: the sequencer's epoch and the number of the last event it has seen. A restored database is another epoch. */
export interface Position {
  epoch: string;
  seq: number;
}

export const formatPosition = (position: Position): string => `${position.epoch}-${position.seq}`;

/** Null when the text is no position. */
export function parsePosition(text: string): Position | null {
  const match = /^([0-9a-f]{1,32})-(0|[1-9][0-9]{0,15})$/.exec(text);
  return match?.[1] === undefined || match[2] === undefined ? null : { epoch: match[1], seq: Number(match[2]) };
}
