import { environment } from '#config';

/** `npm run proofs` sets it: the same tests at the size that the figures in documents are about. */
const isWhole = environment['KOS_PROOFS'] === 'whole';

/** Every run of the tests takes the usual size, which shows the same with less of it. */
export const proofSize = (usual: number, whole: number): number => (isWhole ? whole : usual);
