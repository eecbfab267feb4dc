# The one list of tasks. Heads, losses, metrics and the width of the neck follow from it.
# To predict something else, edit it here, set `model = dict(tasks=[...])` in your own config, or name tasks
# of the meta file with --tasks. If the data have none of these, their own tasks are taken.
#   name: key in the meta file's gt_label; kind: binary (label 0 or 1) or regression, without it guessed from
#   the labels; loss_weight;
#   standardise: of a regression task, True: the network learns (label - mean) / deviation of the training
#   part, and outputs are scaled back; wise for labels that are not near -1 to 1;
#   loss: options of its loss, as dict(pos_weight=3.0) where positives are rare, or another with its type;
#   unit, scale: of a regression task, how answers show it: label * scale, in that unit.
# The first task is the main one: the best checkpoint is the one with its lowest validation loss.
model = dict(
    tasks=[
        dict(name='N', kind='binary', loss_weight=1.0),  # lymph-node metastasis
        dict(name='LVI', kind='binary', loss_weight=0.5),  # lymphovascular invasion
        dict(name='multifocality', kind='binary', loss_weight=0.5),
        dict(name='NumPos', kind='regression', loss_weight=0.5, unit='nodes'),  # number of positive nodes
        dict(name='tumor_size', kind='regression', loss_weight=0.5, unit='mm', scale=50.0),
    ]
)
