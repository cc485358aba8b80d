/** What stands beside the files: secrets of new triggers and addresses of channels, by name, or by `kind/name` where two kinds share one. */
export type GivenSecrets = ReadonlyMap<string, string>;

export const secretFor = (secrets: GivenSecrets, kind: 'trigger' | 'channel', name: string): string | undefined =>
  secrets.get(`${kind}/${name}`) ?? secrets.get(name);
