import { KosError } from '#core/errors.ts';

/** ETags of what people edit: a kind and the number of its version. */
export interface VersionTags {
  of(version: number): string;
  /** Null: none was sent. An ETag that this server never gave matches no version. */
  read(ifMatch: string | undefined): number | null;
  /** Throws KosError `precondition_missing` (428). */
  need(ifMatch: string | undefined): number;
}

export function versionTags(kind: string): VersionTags {
  const pattern = new RegExp(`^(?:W/)?"${kind}-([0-9]{1,9})"$`);
  const read = (ifMatch: string | undefined): number | null => {
    if (ifMatch === undefined) return null;
    const version = pattern.exec(ifMatch.trim())?.[1];
    return version === undefined ? -1 : Number(version);
  };
  return {
    of: (version) => `"${kind}-${version}"`,
    read,
    need(ifMatch) {
      const version = read(ifMatch);
      if (version !== null) return version;
      throw new KosError({
        code: 'precondition_missing',
        message: `This needs If-Match with the ETag of the ${kind} as it was read.`,
        fix: `GET the ${kind}, then repeat with its ETag.`,
        status: 428,
      });
    },
  };
}
