import { readFile, readdir, readlink } from 'node:fs/promises';

export interface ListeningSocket {
  address: string;
  port: number;
}

const listening = '0A';

/** The TCP sockets that a process listens on, from /proc (Linux): what the outside could reach. */
export async function listeningSockets(pid: number): Promise<ListeningSocket[]> {
  const own = await socketInodes(pid);
  const tables = await Promise.all(['tcp', 'tcp6'].map((name) => readFile(`/proc/${pid}/net/${name}`, 'utf8')));
  return tables
    .flatMap((table) => table.trim().split('\n').slice(1))
    .flatMap((row) => {
      const fields = row.trim().split(/\s+/);
      const [local, state, inode] = [fields[1], fields[3], fields[9]];
      return local !== undefined && state === listening && inode !== undefined && own.has(inode) ? [readAddress(local)] : [];
    });
}

async function socketInodes(pid: number): Promise<Set<string>> {
  const folder = `/proc/${pid}/fd`;
  const targets = await Promise.all((await readdir(folder)).map((name) => readlink(`${folder}/${name}`).catch(closedMeanwhile)));
  return new Set(targets.flatMap((target) => /^socket:\[(\d+)\]$/.exec(target)?.[1] ?? []));
}

function closedMeanwhile(error: NodeJS.ErrnoException): string {
  if (error.code === 'ENOENT') return '';
  throw error;
}

/** `0100007F:0BB8` is 127.0.0.1:3000: the address in the machine's (little-endian) byte order, the port as a number. */
function readAddress(text: string): ListeningSocket {
  const [address = '', port = ''] = text.split(':');
  const bytes = address.match(/../g) ?? [];
  const words = Array.from({ length: bytes.length / 4 }, (_, index) => bytes.slice(index * 4, index * 4 + 4).toReversed());
  const readable =
    words.length === 1
      ? words
          .flat()
          .map((byte) => Number.parseInt(byte, 16))
          .join('.')
      : words.map((word) => word.join('')).join(':');
  return { address: readable, port: Number.parseInt(port, 16) };
}
