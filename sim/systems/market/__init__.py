"""Systems that people run today, from their public sources: a file each, which says where its behaviour was read.

They are rebuilt here from their behaviour; none of their code is used.
"""
