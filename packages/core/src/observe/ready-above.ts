/**
 * The id that every ready notification of a listener is above, as far as its workers have told; 0 where they have not. Before it
 * there may be a million dead rows. One that is above every id given out is from before the table was emptied.
 */
export const readyAbove = (schema: string, listener: string) => /* sql */ `coalesce((
      select max(w.ready_above) from ${schema}.worker w
      where w.listener = ${listener} and w.ready_above <= (select i.last_value from ${schema}.notification_id_seq i)
    ), 0)`
