"""What a run tells of the images that it kept."""

from mammo.preprocess.data_set import oddities


def item(name, **fields):
    return dict(source=name, patient_id='p', spacing_mm=0.1, exam_order=1) | fields


def test_routine_images_give_no_warning():
    assert oddities([item('a'), item('b')]) == []


def test_notes_missing_pixel_sizes_and_missing_dates_are_counted_and_named():
    undated = item('c')
    del undated['exam_order'], undated['spacing_mm']
    sentences = oddities([item('a', notes=['MALE', 'IMPLANT']), item('b', notes=['MALE']), undated])
    starts = [sentence.split(':')[0] for sentence in sentences]
    assert starts == [f'{n} of 3 images' for n in (1, 2, 1, 1)]
    assert sentences[1].endswith('the patient is a man: a, b')
    assert all(sentence.endswith(': c') for sentence in sentences[2:])


def test_patients_without_any_date_give_no_warning_of_it():
    undated = item('c')
    del undated['exam_order']
    assert oddities([undated]) == []
