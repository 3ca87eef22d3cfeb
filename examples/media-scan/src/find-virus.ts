import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'

/** The harmless text that every virus scanner reports. Put together here, so that none reports this file. */
export const eicar = ['X5O!P%@AP[4\\PZX54(P^)7CC)7}$EICAR', 'STANDARD', 'ANTIVIRUS', 'TEST', 'FILE!$H+H*'].join('-')

/** Reads the file and looks for the signature. @returns the name of the virus, null for a clean file */
export async function findVirus(url: string): Promise<string | null> {
  const content = await readFile(fileURLToPath(url))
  return content.includes(eicar) ? 'EICAR' : null
}
