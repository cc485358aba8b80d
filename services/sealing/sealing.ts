import { KosError } from '#core/errors.ts';
import { type AeadKey, createAeadKey, openWithKey, type SealedParts, sealWithKey } from './aead.ts';
import { readEnvelope, writeEnvelope } from './envelope.ts';
import { createKeyFile, listKeyGenerations, prepareKeyFolder, readKeyFile } from './key-files.ts';

/** Each purpose has keys of its own: `payload` for what Temporal stores, `secret` for recoverable secrets. */
export type SealingPurpose = 'payload' | 'secret';

export interface Sealing {
  /** Seals under the newest key. `associatedData` is not stored: opening needs the same text. */
  seal(plain: Uint8Array, associatedData: string): Uint8Array;
  /** Throws KosError `sealing_key_unknown` or `sealed_data_refused`. */
  open(sealed: Uint8Array, associatedData: string): Uint8Array;
  sealParts(plain: Uint8Array, associatedData: string): SealedParts;
  /** Throws like `open`. */
  openParts(parts: SealedParts, associatedData: string): Uint8Array;
  /** Makes a new key for new seals and returns its id; what older keys sealed stays readable. */
  rotate(): Promise<string>;
  /** Known key ids, oldest first; the last one seals. */
  keyIds(): string[];
}

interface KeySource {
  purpose: SealingPurpose;
  keys: AeadKey[];
  /** Looks for a key that another process made meanwhile. */
  find(keyId: string): AeadKey | null;
  create(): AeadKey;
}

/** Opens the keys of one purpose in `directory`, and makes the first one there when there is none. Processes that start at once agree on one key. */
export async function createSealing(options: { directory: string; purpose: SealingPurpose }): Promise<Sealing> {
  const { directory, purpose } = options;
  prepareKeyFolder(directory);
  const load = (generation: number): AeadKey => createAeadKey(generation, readKeyFile(directory, purpose, generation));
  const create = (generation: number): AeadKey => {
    createKeyFile(directory, purpose, generation);
    return load(generation);
  };
  const generations = listKeyGenerations(directory, purpose);
  const keys = generations.length === 0 ? [create(1)] : generations.map(load);
  const find = (keyId: string): AeadKey | null => {
    const generation = generationOf(keyId);
    if (generation === null || !listKeyGenerations(directory, purpose).includes(generation)) return null;
    const key = load(generation);
    return key.id === keyId ? key : null;
  };
  return sealingOver({ purpose, keys, find, create: () => create(Math.max(...listKeyGenerations(directory, purpose)) + 1) });
}

/** Sealing under one given 32-byte key, without files: for tests and for replaying histories that were recorded under a public key. */
export function createFixedSealing(options: { purpose: SealingPurpose; key: Uint8Array }): Sealing {
  const refuse = (): AeadKey => {
    throw new KosError({ code: 'sealing_key_fixed', message: `The ${options.purpose} key was given as a fixed value and cannot be rotated.` });
  };
  return sealingOver({ purpose: options.purpose, keys: [createAeadKey(1, options.key)], find: () => null, create: refuse });
}

function sealingOver(source: KeySource): Sealing {
  const known = new Map(source.keys.map((key) => [key.id, key]));
  let active = newest(known);

  const remember = (key: AeadKey): AeadKey => {
    known.set(key.id, key);
    active = newest(known);
    return key;
  };
  const keyFor = (keyId: string): AeadKey => {
    const key = known.get(keyId);
    if (key !== undefined) return key;
    const found = source.find(keyId);
    if (found === null) throw unknownKey(source.purpose, keyId);
    return remember(found);
  };
  const sealParts = (plain: Uint8Array, associatedData: string): SealedParts => sealWithKey(active, plain, bound(source.purpose, associatedData));
  const openParts = (parts: SealedParts, associatedData: string): Uint8Array => openWithKey(keyFor(parts.keyId), parts, bound(source.purpose, associatedData));

  return {
    sealParts,
    openParts,
    seal: (plain, associatedData) => writeEnvelope(sealParts(plain, associatedData)),
    open: (sealed, associatedData) => openParts(readEnvelope(sealed), associatedData),
    rotate: async () => remember(source.create()).id,
    keyIds: () => [...known.values()].sort((a, b) => a.generation - b.generation).map((key) => key.id),
  };
}

/** What is authenticated beside the text: the purpose too, so that a secret never opens as a payload. */
const bound = (purpose: SealingPurpose, associatedData: string): string => `kos-seal-v1\n${purpose}\n${associatedData}`;

function newest(keys: Map<string, AeadKey>): AeadKey {
  return [...keys.values()].reduce((latest, key) => (key.generation > latest.generation ? key : latest));
}

/** A key id is `<generation>-<fingerprint>`; null when the text is no key id at all. */
function generationOf(keyId: string): number | null {
  const match = /^([1-9][0-9]{0,8})-[0-9a-f]{12}$/.exec(keyId);
  return match === null ? null : Number(match[1]);
}

function unknownKey(purpose: SealingPurpose, keyId: string): KosError {
  return new KosError({
    code: 'sealing_key_unknown',
    message: `No ${purpose} key with the id ${JSON.stringify(keyId.slice(0, 40))} is in this installation's keys folder.`,
    fix: 'Restore the keys folder of KOS_HOME from the copy that belongs to this data.',
    status: 500,
  });
}
