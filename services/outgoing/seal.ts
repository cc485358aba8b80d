import type { Sealing } from '#services/sealing/sealing.ts';

/** The seal holds for this receiver only: a row copied elsewhere does not open. */
const boundTo = (targetId: string): string => `outgoing\n${targetId}`;

export const sealFor = (sealing: Sealing, targetId: string, text: string): Buffer => Buffer.from(sealing.seal(Buffer.from(text, 'utf8'), boundTo(targetId)));

export const openFor = (sealing: Sealing, targetId: string, sealed: Uint8Array): string =>
  Buffer.from(sealing.open(sealed, boundTo(targetId))).toString('utf8');
