import { z } from 'zod';
import { readCliFile } from '#services/installation/owner-key.ts';

const linkSchema = z.object({ url: z.string() });
const patienceMs = 5_000;

/** While nobody has ever signed in: the owner's way in, as lines for their terminal. Convenience: what goes wrong is told, and kOS goes on. */
export async function firstSignIn(home: string, url: string, say: (message: string) => void): Promise<string[]> {
  try {
    const key = await readCliFile(home);
    if (key === null) return [];
    const response = await fetch(`${url}/v1/me/links`, {
      method: 'POST',
      headers: { authorization: `Bearer ${key.apiKey}`, 'content-type': 'application/json' },
      body: JSON.stringify({ onlyFirst: true }),
      signal: AbortSignal.timeout(patienceMs),
    });
    if (response.status !== 201) {
      await response.body?.cancel();
      return [];
    }
    const link = linkSchema.parse(await response.json());
    return ['', 'Sign in to this installation (once, within 15 minutes; another link: npx kai open):', `  ${link.url}`];
  } catch (error) {
    say(`A link to sign in could not be made (${(error as Error).message}); later: npx kai open`);
    return [];
  }
}
