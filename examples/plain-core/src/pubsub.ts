import { PubSub } from '@pgpubsub/core'
import { connectionString } from './database.ts'

export const pubsub = new PubSub({ connectionString })

/** A row of `purchase`, as PostgreSQL's `row_to_json` writes it. */
interface Purchase {
  id: number
  product: string
  quantity: number
}

// in the transaction that deletes the change: taken from stock exactly once, whatever fails
pubsub.onChange(
  { name: 'take-from-stock', table: 'purchase', operations: ['insert'], transactional: true },
  async ({ new: row, tx }) => {
    const { product, quantity } = row as unknown as Purchase
    await tx.query('update product set stock = stock - $2 where name = $1', [product, quantity])
  },
)

pubsub.onChange(
  { name: 'confirm', table: 'purchase', columns: ['quantity'] },
  async ({ operation, changed, new: row, context }) => {
    const { product, quantity } = row as unknown as Purchase
    console.log(`${operation} of ${quantity} ${product} by ${context.user}, changed: ${changed.join(', ')}`)
  },
)
